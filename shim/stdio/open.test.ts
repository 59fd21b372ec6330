import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { codeOf } from "../../sys/error.ts";
import { hasLedger, openLedger, readLedger } from "../../sys/ledger.ts";
import { Code } from "../../sys/status.ts";
import { startLogProgram } from "./log-program.ts";
import { openStdio, type StdioAddresses } from "./open.ts";

const OF = { id: "web", namespace: "k8s.io" };
const NONE: StdioAddresses = { stdin: "", stdout: "", stderr: "", terminal: false };

function place(t: ExecutionContext) {
  const directory = mkdtempSync(join(tmpdir(), "stdio-"));
  const ledger = openLedger(join(directory, "state"));
  t.teardown(async () => {
    if (hasLedger(ledger.directory)) await ledger.unwind();
    rmSync(directory, { recursive: true });
  });
  return { ledger, path: (name: string) => join(directory, name) };
}

function program(path: string, lines: string): string {
  writeFileSync(path, `#!/bin/sh\n${lines}\n`);
  chmodSync(path, 0o755);
  return path;
}

async function until(check: () => boolean): Promise<void> {
  while (!check()) await pause(10);
}

test("a program gets both outputs and its arguments, and ends with them", async (t) => {
  const { ledger, path } = place(t);
  const lines =
    'echo "$CONTAINER_NAMESPACE/$CONTAINER_ID $*" > "$2"; exec 5>&-; cat <&3 >> "$2"; cat <&4 >> "$2"; echo over >> "$2"';
  const stdout = `binary://${program(path("log"), lines)}?to=${path("out")}`;
  const streams = await openStdio({ ...NONE, stdout }, OF, ledger);
  await streams.stdout?.write(Buffer.from("out\n"));
  await streams.stderr?.write(Buffer.from("err\n"));
  await streams.close();
  await until(() => readFileSync(path("out"), "utf8").endsWith("over\n"));
  t.is(readFileSync(path("out"), "utf8"), `k8s.io/web to ${path("out")}\nout\nerr\nover\n`);
  await until(() => readLedger(ledger.directory).length === 0);
});

test("a program that is not there, ends early or is not ready in time fails its process, and is gone", async (t) => {
  const { ledger, path } = place(t);
  const attempt = (file: string, readyMs?: number) =>
    t.throwsAsync(startLogProgram({ kind: "binary", path: file, args: [] }, OF, ledger, readyMs));
  const missing = await attempt(path("none"));
  t.is(codeOf(missing), Code.NOT_FOUND);
  t.regex(missing.message, /none/);
  t.regex((await attempt(program(path("early"), "exit 3"))).message, /early.*it ended before it was ready/);
  const pidFile = path("pid");
  const late = await attempt(program(path("late"), `echo $$ > ${pidFile}; exec sleep 1000`), 1_000);
  t.is(codeOf(late), Code.DEADLINE_EXCEEDED);
  await until(() => !existsSync(`/proc/${readFileSync(pidFile, "utf8").trim()}`));
  t.deepEqual(readLedger(ledger.directory), []);
  // What was opened before it is closed again.
  execFileSync("mkfifo", [path("in")]);
  const wish = { ...NONE, stdin: path("in"), stdout: `binary://${path("none")}` };
  t.is(codeOf(await t.throwsAsync(openStdio(wish, OF, ledger))), Code.NOT_FOUND);
});

test("a fifo without a reader is opened at once; its writer waits, and is let go at the end", async (t) => {
  const { ledger, path } = place(t);
  for (const name of ["out", "err"]) execFileSync("mkfifo", [path(name)]);
  const streams = await openStdio({ ...NONE, stdout: path("out"), stderr: path("err") }, OF, ledger);
  let taken = false;
  const writing = (async () => {
    for (let part = 0; part < 32; part++) await streams.stdout?.write(Buffer.alloc(64 << 10));
    taken = true;
  })();
  await pause(100);
  t.false(taken, "2 MiB do not fit into a fifo");
  // The other stream goes on.
  await streams.stderr?.write(Buffer.from("err\n"));
  await streams.close();
  await writing;
  t.true(taken);
});
