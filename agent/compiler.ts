import { setFlagsFromString } from "node:v8";

/** The guest starts with V8's compilers off: what runs once is interpreted faster than compiled. */
const COMPILERS = ["--sparkplug", "--maglev", "--opt"] as const;
/** A pod that lives as long as this is worth compiling for. */
const WARM_UP_MS = 5000;

/** Turns the compilers on, for good: there is work that is worth it. */
export function compile(): void {
  COMPILERS.forEach(setFlagsFromString);
}

/** Turns the compilers on for a guest that stays. */
export interface Compiler {
  /** The guest is somebody's: compile from some time on. */
  start(): void;
  /** It is nobody's again. */
  cancel(): void;
}

export function createCompiler(): Compiler {
  let timer: NodeJS.Timeout | undefined;
  const cancel = (): void => clearTimeout(timer);
  return {
    start() {
      cancel();
      timer = setTimeout(compile, WARM_UP_MS).unref();
    },
    cancel,
  };
}
