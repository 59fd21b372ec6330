import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BUILT, built } from "../test/harness/project.ts";
import { cleanEnvironment } from "./shim-start.ts";

const SHIM = "containerd-shim-tapir-v2";
/** What takes a millisecond is run so often, for /proc counts in hundredths of a second. */
const REPEAT = 50;
const TICKS_PER_SECOND = 100;

/** Has Node say at its end what it used: one line of command and microseconds for each process. */
const account = (log: string): string => `process.on("exit", () => {
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  require("node:fs").appendFileSync(${JSON.stringify(log)},
    \`\${process.argv.at(-1)} \${userCPUTime + systemCPUTime}\\n\`);
});\n`;

/** A directory with a shim whose Nodes keep account of their CPU time: put it first on containerd's PATH. */
export interface AccountedShim extends Disposable {
  readonly directory: string;
  /** CPU milliseconds of each Node that has ended, by command, in order; empties the account. */
  take(): readonly { readonly command: string; readonly cpuMs: number }[];
  /** CPU milliseconds of an empty program of the same Node under the same account. */
  emptyProgram(): Promise<number>;
  /** CPU milliseconds of the launcher's own part, without Node: a start and a delete after a good end. */
  launcher(): Promise<number>;
}

export function accountedShim(): AccountedShim {
  const directory = mkdtempSync(join(tmpdir(), "tapir-bench-"));
  const log = join(directory, "account");
  const script = join(directory, "account.cjs");
  writeFileSync(script, account(log));
  writeFileSync(log, "");
  const node = program(
    directory,
    "node",
    `#!/bin/sh\nexec '${process.execPath}' --require '${script}' "$@"\n`,
  );
  program(directory, SHIM, launcherWith(node));
  const idle = program(directory, "launcher", launcherWith("/bin/true"));
  const take: AccountedShim["take"] = () => {
    const lines = readFileSync(log, "utf8").split("\n").filter(Boolean);
    writeFileSync(log, "");
    return lines.map((line) => {
      const [command = "", microseconds = ""] = line.split(" ");
      return { command, cpuMs: Number(microseconds) / 1000 };
    });
  };
  return {
    directory,
    take,
    async emptyProgram() {
      take();
      const args = ["--require", script, "-e", "0"];
      await once(spawn(process.execPath, args, { env: cleanEnvironment(), stdio: "ignore" }), "exit");
      return take()[0]?.cpuMs ?? Number.NaN;
    },
    async launcher() {
      const bundle = join(directory, "bundle");
      mkdirSync(bundle, { recursive: true });
      writeFileSync(join(bundle, "deleted"), "x");
      const before = childrenCpuMs();
      for (let time = 0; time < REPEAT; time++) {
        for (const args of [["start"], ["-bundle", bundle, "delete"]]) {
          await once(spawn(idle, args, { env: cleanEnvironment(), stdio: "ignore" }), "exit");
        }
      }
      return (childrenCpuMs() - before) / REPEAT;
    },
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** The installed launcher, which runs another Node. */
function launcherWith(node: string): string {
  return readFileSync(built(join(BUILT.shim, SHIM)), "utf8").replace(/^node=.*$/m, `node='${node}'`);
}

function program(directory: string, name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text, { mode: 0o755 });
  return path;
}

/** CPU time of all children that were waited for (proc(5), cutime and cstime). */
function childrenCpuMs(): number {
  const stat = readFileSync("/proc/self/stat", "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[13]) + Number(fields[14])) * 1000) / TICKS_PER_SECOND;
}
