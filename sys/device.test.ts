import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { openDevice } from "./device.ts";

const directory = mkdtempSync(join(tmpdir(), "tapir-device-"));
test.after.always(() => rmSync(directory, { recursive: true }));

function fifo(name: string): string {
  const path = join(directory, name);
  execFileSync("mkfifo", [path]);
  return path;
}

test("changes wake the waiter: data, then nothing to read", async (t) => {
  const path = fifo("data");
  using device = openDevice(path);
  const buffer = Buffer.alloc(64);
  t.is(device.read(buffer), -1);
  const changed = device.changed();
  const writer = openSync(path, "w");
  writeSync(writer, "hello");
  t.true(await changed);
  t.is(device.read(buffer), 5);
  t.is(buffer.toString("latin1", 0, 5), "hello");
  t.is(device.read(buffer), -1);
  closeSync(writer);
});

test("a full device says so, and room is a change only while asked for", async (t) => {
  const path = fifo("full");
  using device = openDevice(path);
  while (device.write(Buffer.alloc(4096)) !== -1);
  device.watchRoom(true);
  const changed = device.changed();
  while (device.read(Buffer.alloc(65536)) > 0);
  t.true(await changed);
  t.is(device.write(Buffer.from("x")), 1);
});

test("closing ends the wait", async (t) => {
  const device = openDevice(fifo("closed"));
  const changed = device.changed();
  device[Symbol.dispose]();
  t.false(await changed);
});

test("a device that is not there is named", (t) => {
  t.throws(() => openDevice(join(directory, "none")), { message: /^cannot open .*none: .*ENOENT/ });
});
