import { type Profiler, Session } from "node:inspector";
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";

/** Tells what ran since it was asked last. */
export type Recorder = () => Ran;

export type Ran = readonly RanFunction[];

interface RanFunction {
  /** Its script and place. */
  readonly key: string;
  /** The function itself, then its blocks, inner ones after those around them; count 0: did not run. */
  readonly ranges: readonly Profiler.CoverageRange[];
}

const ROOT = pathToFileURL(dirname(dirname(import.meta.dirname))).href;

/** Code of the project: neither its tests nor what others wrote. */
function isProduct(url: string): boolean {
  return url.startsWith(`${ROOT}/`) && !/\/(node_modules|test)\//.test(url.slice(ROOT.length));
}

/**
 * Records which blocks of code run, as V8 counts them (Chrome DevTools Protocol, Profiler, precise coverage): of what is compiled
 * from now on, so the code in question must not have run before, and till the end of the process, since V8 does not count
 * again what it has stopped to count. `counts` says which scripts matter, by their URL.
 */
export function startRecorder(counts: (url: string) => boolean = isProduct): Recorder {
  const session = new Session();
  session.connect();
  session.post("Profiler.enable");
  // Whether a block ran, not how often: that takes a third of the time to tell.
  session.post("Profiler.startPreciseCoverage", { callCount: false, detailed: true });
  return () => {
    let scripts: readonly Profiler.ScriptCoverage[] = [];
    // Of this very thread: the answer is there when the call returns.
    session.post("Profiler.takePreciseCoverage", (_, { result }) => {
      scripts = result;
    });
    return scripts.filter(({ url }) => counts(url)).flatMap(functionsOf);
  };
}

function functionsOf({ url, functions }: Profiler.ScriptCoverage): RanFunction[] {
  return functions.flatMap(({ ranges }) => {
    const [whole] = ranges;
    if (whole === undefined || whole.count === 0) return [];
    return [{ key: `${url} ${whole.startOffset} ${whole.endOffset}`, ranges }];
  });
}

/** The code that is known to run. */
export interface CodeMap {
  /** Whether there is anything in it that never was in what was learnt. */
  isNew(ran: Ran): boolean;
  learn(ran: Ran): void;
  /** How many characters of code are known to run. */
  readonly characters: number;
}

export function openCodeMap(): CodeMap {
  /** Of each function that ran, which of its characters did; those of functions in it are theirs as well. */
  const learnt = new Map<string, Uint8Array>();
  let characters = 0;
  return {
    isNew: (ran) =>
      ran.some((one) => {
        const known = learnt.get(one.key);
        return known === undefined || paint(one).some((did, place) => did > (known[place] ?? 0));
      }),
    learn(ran) {
      for (const one of ran) {
        const painted = paint(one);
        const known = learnt.get(one.key) ?? new Uint8Array(painted.length);
        for (const [place, did] of painted.entries()) {
          if (did <= (known[place] ?? 0)) continue;
          known[place] = did;
          characters += 1;
        }
        learnt.set(one.key, known);
      }
    },
    get characters() {
      return characters;
    },
  };
}

function paint({ ranges: [whole, ...blocks] }: RanFunction): Uint8Array {
  const start = whole?.startOffset ?? 0;
  const painted = new Uint8Array((whole?.endOffset ?? 0) - start).fill(1);
  for (const { startOffset, endOffset, count } of blocks)
    painted.fill(Math.min(count, 1), startOffset - start, endOffset - start);
  return painted;
}
