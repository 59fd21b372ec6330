import test from "ava";
import { NO_LIMITS } from "./container-limits.ts";
import { largerLimits, wantedSize } from "./wanted-size.ts";

const start = { vcpus: 1, memoryMiB: 256 };
const MIB = 1024 * 1024;

test("a VM has what it starts with, and what its containers' limits allow", (t) => {
  t.deepEqual(wantedSize(start, []), start);
  t.deepEqual(wantedSize(start, [NO_LIMITS, NO_LIMITS]), start);
  const one = { cpus: 2, memoryBytes: 512 * MIB };
  t.deepEqual(wantedSize(start, [one]), { vcpus: 3, memoryMiB: 768 });
  t.deepEqual(wantedSize(start, [one, NO_LIMITS, one]), { vcpus: 5, memoryMiB: 1280 });
});

test("parts of CPUs add up before they are rounded, parts of MiB count as whole ones", (t) => {
  const tenth = { cpus: 0.1, memoryBytes: 1 };
  t.deepEqual(wantedSize(start, Array(10).fill(tenth)), { vcpus: 2, memoryMiB: 257 });
  t.is(
    wantedSize(start, [
      { cpus: 0.7, memoryBytes: 0 },
      { cpus: 0.4, memoryBytes: 0 },
    ]).vcpus,
    3,
  );
  t.is(
    wantedSize(start, [
      { cpus: 0.1, memoryBytes: 0 },
      { cpus: 0.2, memoryBytes: 0 },
      { cpus: 0.7, memoryBytes: 0 },
    ]).vcpus,
    2,
  );
});

test("while limits change, each is the larger one", (t) => {
  const small = { cpus: 1, memoryBytes: 4 };
  t.deepEqual(largerLimits(small, { cpus: 0.5, memoryBytes: 8 }), { cpus: 1, memoryBytes: 8 });
});
