import type { StatsFs } from "node:fs";
import test from "ava";
import { sharedMemoryBytes } from "./shared-memory.ts";

const TMPFS = 0x01021994;
const EXT4 = 0xef53;
const fileSystem = (type: number, blocks: number) => () => ({ type, bsize: 4096, blocks }) as StatsFs;
const shm = (source: string, type = "bind") => [{ destination: "/dev/shm", source, type }];

test("the pod's shared memory is as large as what the sandbox has at /dev/shm", (t) => {
  t.is(sharedMemoryBytes(shm("/run/sandboxes/a/shm"), fileSystem(TMPFS, 16_384)), 64n << 20n);
  const twice = [...shm("/first"), ...shm("/last")];
  t.is(
    sharedMemoryBytes(twice, (path) => fileSystem(TMPFS, path === "/last" ? 512 : 1)()),
    2n << 20n,
  );
});

test("it is the usual one where nothing says a size", (t) => {
  const large = fileSystem(TMPFS, 1 << 20);
  t.is(sharedMemoryBytes([], large), 0n);
  t.is(sharedMemoryBytes(shm("/dev/shm"), large), 0n, "the node's own");
  t.is(sharedMemoryBytes(shm("shm", "tmpfs"), large), 0n, "the container's own");
  t.is(sharedMemoryBytes(shm("/some/folder"), fileSystem(EXT4, 7)), 0n);
  const gone = (): never => {
    throw new Error("ENOENT");
  };
  t.is(sharedMemoryBytes(shm("/gone"), gone), 0n);
});
