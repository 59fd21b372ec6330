import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";

/**
 * The guest starts with V8's compilers off: what runs once is interpreted faster than compiled. The first one writes down what
 * the interpreter would do. The others think for long, which an emulator makes longer than what they save: a MiB through
 * `exec cat` took 870 ms of processor time with all three, 283 with two, 183 with one.
 */
const PLAIN = ["--sparkplug"] as const;
const OPTIMIZING = ["--maglev", "--opt"] as const;
/** A pod that lives as long as this is worth compiling for. */
const WARM_UP_MS = 5000;

/** Turns the compilers on, for good: there is work that is worth it. */
export function compile(): void {
  compilersFor(readFileSync("/proc/cpuinfo", "latin1")).forEach(setFlagsFromString);
}

/** Flags of V8 for the processor that /proc/cpuinfo describes. */
export function compilersFor(cpuinfo: string): readonly string[] {
  return /^model name\s*:\s*QEMU TCG/m.test(cpuinfo) ? PLAIN : [...PLAIN, ...OPTIMIZING];
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
