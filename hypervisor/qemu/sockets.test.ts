import { readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { closeAll } from "../../sys/fdpass.ts";
import { openSockets } from "./sockets.ts";

/** The listing itself has one open. */
const openDescriptors = (): number => readdirSync("/proc/self/fd").length - 1;

test.serial("the last socket that cannot be made takes the others along", (t) => {
  const before = openDescriptors();
  t.throws(() => openSockets("/there/is/no/such/folder/agent.sock"));
  t.is(openDescriptors(), before);
});

test.serial("QEMU's ends go once, ours are the caller's", (t) => {
  const before = openDescriptors();
  const path = join(tmpdir(), `tapir-test-${process.pid}.sock`);
  const { monitor, console, closeTheirs } = openSockets(path);
  t.is(openDescriptors(), before + 5);
  closeTheirs();
  closeTheirs();
  t.is(openDescriptors(), before + 2);
  closeAll([monitor.ours, console.ours]);
  rmSync(path);
});
