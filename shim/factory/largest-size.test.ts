import test from "ava";
import { assemble } from "../config/schema.ts";
import { largestSize } from "./largest-size.ts";

const machine = { cpus: 8, memoryBytes: 31.3 * 1024 ** 3 };
const withKeys = (keys: Readonly<Record<string, number>>) =>
  assemble(new Map(Object.entries(keys).map(([name, value]) => [`hypervisor.qemu.${name}`, value])))
    .hypervisor.qemu;

test("a VM may become as large as the machine, in whole GiB", (t) => {
  t.deepEqual(largestSize(withKeys({}), "kvm", machine), { vcpus: 8, memoryMiB: 31 * 1024 });
});

test("as configured, and never less than it starts with", (t) => {
  const keys = { default_maxvcpus: 4, default_maxmemory_mib: 2000 };
  t.deepEqual(largestSize(withKeys(keys), "kvm", machine), { vcpus: 4, memoryMiB: 2000 });
  const started = { default_vcpus: 12, default_memory_mib: 65_536 };
  t.deepEqual(largestSize(withKeys({ ...keys, ...started }), "kvm", machine), {
    vcpus: 12,
    memoryMiB: 65_536,
  });
});

test("a translated guest's addresses end earlier", (t) => {
  const large = { cpus: 2, memoryBytes: 2 ** 41 };
  t.is(largestSize(withKeys({}), "tcg", large).memoryMiB, 2 ** 19);
  t.is(largestSize(withKeys({}), "kvm", large).memoryMiB, 2 ** 21);
});
