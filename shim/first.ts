import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Script } from "node:vm";

/**
 * The first script of the shim: runs the others with what V8 has compiled for an earlier shim. Node's own compile cache holds
 * what is compiled when a file is loaded; this one holds what a pod's whole life compiles, by far the most of it.
 */
declare const require: (id: string) => unknown;
declare const __dirname: string;
/** Of all scripts: V8 itself looks at no more than their lengths. */
declare const TAPIR_REVISION: string;

/** What has compiled the code that is kept, the better one last: the set-up, a pod that is up, a pod's life. */
const STAGES = ["warm", "up", "lived"] as const;
type Stage = (typeof STAGES)[number];

const UP_MS = 10_000;
/** V8 forgets what has not run for long: an old shim has no longer what its start compiled. */
const YOUNG_SECONDS = 120;

const cache = join(__dirname, "cache", `${TAPIR_REVISION}-${process.version}-${process.arch}`);
const loaded = new Map<string, { readonly script: Script; readonly module: { exports: unknown } }>();

function load(name: string): unknown {
  const known = loaded.get(name);
  if (known !== undefined) return known.module.exports;
  const filename = join(__dirname, name);
  const source = readFileSync(filename, "latin1");
  const cachedData = readCached(name);
  const script = new Script(
    `(function (exports, require, module, __filename, __dirname) {${source}\n})`,
    cachedData === undefined ? { filename } : { filename, cachedData },
  );
  const module: { exports: unknown } = { exports: {} };
  loaded.set(name, { script, module });
  const resolve = (id: string): unknown => (/^\.\/\w+\.cjs$/.test(id) ? load(id.slice(2)) : require(id));
  script.runInThisContext()(module.exports, resolve, module, filename, __dirname);
  return module.exports;
}

function readCached(name: string): Buffer | undefined {
  try {
    return readFileSync(join(cache, name));
  } catch {
    return undefined;
  }
}

/** Of many shims in which a script comes to a stage, the first keeps its code. One that cannot write does without. */
function keep(stage: Stage): void {
  for (const [name, { script }] of loaded) {
    try {
      const path = join(cache, name);
      if (STAGES.slice(STAGES.indexOf(stage)).some((later) => existsSync(`${path}.${later}`))) continue;
      mkdirSync(cache, { recursive: true, mode: 0o700 });
      writeFileSync(`${path}.${stage}`, "", { flag: "wx" });
      writeFileSync(`${path}.${stage}-new`, script.createCachedData(), { mode: 0o600 });
      renameSync(`${path}.${stage}-new`, path);
    } catch {
      // A cache that fails is no reason for a pod to fail.
    }
  }
}

const command = process.argv.at(-1);
if (command === "start") {
  setTimeout(keep, UP_MS, "up").unref();
  process.on("exit", (code) => {
    if (code === 0 && loaded.has("serve.cjs") && process.uptime() < YOUNG_SECONDS) keep("lived");
  });
} else if (command === "warm") {
  process.on("exit", () => keep("warm"));
}
load("main.cjs");
