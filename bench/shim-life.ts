import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BUILT, built } from "../test/harness/project.ts";
import { cleanEnvironment } from "./shim-start.ts";

/** Has Node say at its end what it used: one line of command and microseconds for each process. */
const preload = (log: string): string => `process.on("exit", () => {
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  require("node:fs").appendFileSync(${JSON.stringify(log)},
    \`\${process.argv.at(-1)} \${userCPUTime + systemCPUTime}\\n\`);
});\n`;

/** A directory with a shim that keeps account of its CPU time: put it first on containerd's PATH. */
export interface AccountedShim extends Disposable {
  readonly directory: string;
  /** CPU milliseconds of each process that has ended, by command, in order; empties the account. */
  take(): readonly { readonly command: string; readonly cpuMs: number }[];
  /** CPU milliseconds of an empty program of the same Node under the same account. */
  emptyProgram(): Promise<number>;
}

export function accountedShim(): AccountedShim {
  const directory = mkdtempSync(join(tmpdir(), "tapir-bench-"));
  const log = join(directory, "account");
  const script = join(directory, "account.cjs");
  const shim = built(join(BUILT.shim, "containerd-shim-tapir-v2"));
  writeFileSync(script, preload(log));
  writeFileSync(log, "");
  // `serve` is started with the flags that `start` was.
  const node = [process.execPath, "--no-warnings", "--require", script];
  writeFileSync(
    join(directory, "containerd-shim-tapir-v2"),
    `#!/bin/sh\nexec ${[...node, shim].map((word) => `'${word}'`).join(" ")} "$@"\n`,
    { mode: 0o755 },
  );
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
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}
