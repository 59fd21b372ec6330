import test from "ava";
import { limitsOf, NO_LIMITS } from "./container-limits.ts";

test("quota over period is a number of CPUs; the limit of memory is one in bytes", (t) => {
  const resources = { cpu: { quota: 250_000, period: 100_000, shares: 512 }, memory: { limit: 536_870_912 } };
  t.deepEqual(limitsOf(resources), { cpus: 2.5, memoryBytes: 536_870_912 });
  t.is(limitsOf({ cpu: { quota: 50_000 } }).cpus, 0.5);
  t.is(limitsOf({ cpu: { quota: 20_000, period: 0 } }).cpus, 0.2);
});

test("none, -1 and the largest number are no limits; nor is nonsense", (t) => {
  const none = [
    undefined,
    null,
    {},
    { cpu: null, memory: null },
    { cpu: { quota: -1 }, memory: { limit: -1 } },
  ];
  const endless = [{ memory: { limit: Number(0x7fff_ffff_ffff_f000n) } }, { memory: { limit: 2 ** 63 } }];
  const nonsense = [{ cpu: "2", memory: { limit: "1" } }, { cpu: { quota: Number.NaN } }, "resources"];
  for (const resources of [...none, ...endless, ...nonsense]) t.deepEqual(limitsOf(resources), NO_LIMITS);
});

test("an update keeps what it does not name", (t) => {
  const before = { cpus: 2, memoryBytes: 1024 };
  t.deepEqual(limitsOf({ memory: { limit: 2048 } }, before), { cpus: 2, memoryBytes: 2048 });
  t.deepEqual(limitsOf({ cpu: { quota: -1 } }, before), { cpus: 0, memoryBytes: 1024 });
});
