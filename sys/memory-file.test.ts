import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { codeOf } from "./error.ts";
import { allocatedBytes, copyData, createMemoryFile, dataExtents, punchZeroPages } from "./memory-file.ts";
import { mount, unmount } from "./mount.ts";
import { Code } from "./status.ts";

const MIB = 1 << 20;

function memoryFile(t: ExecutionContext, bytes: number): number {
  const fd = createMemoryFile("test", bytes);
  t.teardown(() => closeSync(fd));
  return fd;
}

function read(fd: number, offset: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  readSync(fd, buffer, 0, bytes, offset);
  return buffer;
}

test("a new file is all hole; data shows as whole pages", (t) => {
  const fd = memoryFile(t, 8 * MIB);
  t.is(fstatSync(fd).size, 8 * MIB);
  t.deepEqual(dataExtents(fd), []);
  t.is(allocatedBytes(fd), 0);
  writeSync(fd, "x", MIB);
  writeSync(fd, "y", 8 * MIB - 1);
  t.deepEqual(dataExtents(fd), [
    { start: MIB, end: MIB + 4096 },
    { start: 8 * MIB - 4096, end: 8 * MIB },
  ]);
  t.is(allocatedBytes(fd), 8192);
});

test("a copy has the same data and the same holes", async (t) => {
  const from = memoryFile(t, 16 * MIB);
  for (let offset = 0; offset < 16 * MIB; offset += 3 * MIB + 4096) writeSync(from, `at ${offset}`, offset);
  const to = memoryFile(t, 16 * MIB);
  await copyData(from, to);
  t.deepEqual(dataExtents(to), dataExtents(from));
  for (const { start } of dataExtents(from)) t.deepEqual(read(to, start, 4096), read(from, start, 4096));
});

test("a copy that fails says why, in this thread and in another", async (t) => {
  const path = join(tmpdir(), `tapir-copy-${process.pid}`);
  closeSync(openSync(path, "w"));
  const readOnly = openSync(path, "r");
  t.teardown(() => {
    closeSync(readOnly);
    unlinkSync(path);
  });
  for (const bytes of [1, MIB]) {
    const from = memoryFile(t, MIB);
    writeSync(from, Buffer.alloc(bytes, "x"), 0, bytes, 0);
    await t.throwsAsync(copyData(from, readOnly), {
      message: /^cannot copy memory file of 1048576 bytes: EBADF /,
    });
  }
});

test("a copy that does not fit names memory and tmpfs", async (t) => {
  const place = mkdtempSync(join(tmpdir(), "tapir-full-"));
  mount({ source: "tmpfs", target: place, type: "tmpfs", data: "size=64k" });
  const to = openSync(join(place, "to"), "w");
  t.teardown(() => {
    closeSync(to);
    unmount(place);
    rmdirSync(place);
  });
  const from = memoryFile(t, MIB);
  writeSync(from, Buffer.alloc(MIB, "x"), 0, MIB, 0);
  const error = await t.throwsAsync(copyData(from, to), { message: /ENOSPC .*not enough memory, or space/ });
  t.is(codeOf(error), Code.RESOURCE_EXHAUSTED);
});

test("a source that becomes shorter is not mistaken for a full destination", async (t) => {
  const from = memoryFile(t, 4 * MIB);
  for (const start of [0, 2 * MIB]) writeSync(from, Buffer.alloc(MIB, "x"), 0, MIB, start);
  const copying = copyData(from, memoryFile(t, 4 * MIB));
  ftruncateSync(from, MIB);
  t.is(codeOf(await t.throwsAsync(copying, { message: /it became shorter meanwhile/ })), Code.DATA_LOSS);
});

test("pages of zeros are given back, others stay as they are", (t) => {
  const fd = memoryFile(t, 4 * MIB + 4096);
  writeSync(fd, Buffer.alloc(4 * MIB + 4096), 0, 4 * MIB + 4096, 0);
  writeSync(fd, "a", 5);
  writeSync(fd, "b", MIB - 1);
  writeSync(fd, "c", 4 * MIB);
  punchZeroPages(fd);
  t.deepEqual(dataExtents(fd), [
    { start: 0, end: 4096 },
    { start: MIB - 4096, end: MIB },
    { start: 4 * MIB, end: 4 * MIB + 4096 },
  ]);
  t.is(read(fd, 5, 1).toString() + read(fd, MIB - 1, 1) + read(fd, 4 * MIB, 1), "abc");
  ftruncateSync(fd, 0);
  punchZeroPages(fd);
  t.pass();
});
