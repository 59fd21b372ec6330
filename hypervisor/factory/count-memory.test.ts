// Requires root and a hierarchy of cgroups that counts memory.
import { closeSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { cgroupHierarchies, countsMemory, ownMemoryCgroup } from "../../sys/cgroup.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { openLedger } from "../../sys/ledger.ts";
import { copyData, createMemoryFile } from "../../sys/memory-file.ts";
import { undoCgroup } from "../../sys/undo/cgroup.ts";
import { countMemoryIn } from "./count-memory.ts";

const BYTES = 32 << 20;

test("what this process copies counts in the pod's cgroup; afterwards it is where it was", async (t) => {
  const root = cgroupHierarchies().find((one) => countsMemory(one.root))?.root;
  t.truthy(root, "no hierarchy counts memory");
  const folder = join(root ?? "", `tapir-count-${process.pid}`);
  mkdirSync(folder);
  const place = mkdtempSync(join(tmpdir(), "tapir-count-"));
  const ledger = openLedger(join(place, "state"));
  const [from, to] = [createMemoryFile("from", BYTES), createMemoryFile("to", BYTES)];
  const counted = (): number =>
    Number(/^shmem (\d+)$/m.exec(readFileSync(join(folder, "memory.stat"), "utf8"))?.[1]);
  const home = ownMemoryCgroup(folder);
  try {
    writeSync(from, Buffer.alloc(BYTES, 1));
    await countMemoryIn(["/nonexistent", folder], ledger);
    t.is(ownMemoryCgroup(folder), folder);
    await copyData(from, to);
    // Counters are brought up to date now and then.
    const soon = deadlineIn(60_000, "test");
    while (counted() < 0.9 * BYTES && soon.remainingMs() > 0) await new Promise(setImmediate);
    t.true(counted() >= 0.9 * BYTES, `${counted()} of ${BYTES}`);
  } finally {
    await ledger.unwind();
    closeSync(from);
    closeSync(to);
    await undoCgroup({ kind: "cgroup", path: folder }, deadlineIn(60_000, "test"));
    rmSync(place, { recursive: true });
  }
  t.is(ownMemoryCgroup(folder), home);
});
