import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  rmSync,
} from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { openFifoOutput } from "./fifo-output.ts";

function makeFifo(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), "fifo-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "out");
  execFileSync("mkfifo", [path]);
  return path;
}

/** Whether this process has it open, removed or not. */
function isOpen(path: string): boolean {
  return readdirSync("/proc/self/fd").some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(path);
    } catch {
      return false;
    }
  });
}

async function untilClosed(path: string): Promise<void> {
  while (isOpen(path)) await pause(10);
}

test("who reads gets what is written and the end, and nothing stays open", async (t) => {
  const path = makeFifo(t);
  const output = openFifoOutput(path);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  await output.write(Buffer.from("text"));
  await output.close();
  const bytes = Buffer.alloc(16);
  t.is(readSync(reader, bytes), 4);
  t.is(readSync(reader, bytes), 0);
  closeSync(reader);
  await untilClosed(path);
  t.pass();
});

test("who comes after the end still gets what was written, and the end, which may be all there is", async (t) => {
  for (const text of ["the last words", ""]) {
    const path = makeFifo(t);
    const output = openFifoOutput(path);
    if (text !== "") await output.write(Buffer.from(text));
    await output.close();
    await output.close();
    await pause(50);
    // It would wait for a writer for ever.
    t.is(await readFile(path, "utf8"), text);
    await untilClosed(path);
  }
});

test("a fifo that is removed has no reader any more", async (t) => {
  const path = makeFifo(t);
  const output = openFifoOutput(path);
  await output.close();
  t.true(isOpen(path));
  rmSync(path);
  await untilClosed(path);
  t.pass();
});
