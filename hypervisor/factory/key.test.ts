import { appendFileSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import type { VmPlan } from "../hypervisor.ts";
import { differentParts, fingerprint, readKeyParts, templateKey } from "./key.ts";

function plan(t: ExecutionContext): VmPlan {
  const directory = mkdtempSync(join(tmpdir(), "tapir-key-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = (name: string): string => {
    writeFileSync(join(directory, name), name);
    return join(directory, name);
  };
  return {
    name: "pod",
    directory,
    qemu: path("qemu"),
    kernel: path("kernel"),
    initramfs: path("initramfs"),
    image: path("image"),
    imageDriver: "virtio-blk",
    accelerator: "tcg",
    vcpus: 1,
    memoryMiB: 256,
    rootPorts: 8,
    kernelParameters: [],
    firstNic: { queues: 1, vhost: false },
  };
}

const keyOf = (one: VmPlan): string => templateKey(readKeyParts(one));

test("pods that differ in name and place have one key", (t) => {
  const one = plan(t);
  t.is(keyOf(one), keyOf({ ...one, name: "other", directory: "/run/other" }));
  t.regex(keyOf(one), /^[0-9a-f]{32}$/);
});

test("everything that makes another guest makes another key", (t) => {
  const one = plan(t);
  const changes: readonly Partial<VmPlan>[] = [
    { vcpus: 2 },
    { memoryMiB: 512 },
    { rootPorts: 4 },
    { accelerator: "kvm" },
    { imageDriver: "virtio-blk", kernelParameters: ["debug"] },
    { firstNic: undefined },
    { firstNic: { queues: 2, vhost: false } },
    { firstNic: { queues: 1, vhost: true } },
  ];
  const keys = [one, ...changes.map((change) => ({ ...one, ...change }))].map(keyOf);
  t.is(new Set(keys).size, keys.length);
});

test("a file that is written to makes another key; the parts say which", (t) => {
  const one = plan(t);
  const before = readKeyParts(one);
  appendFileSync(one.qemu, "x");
  utimesSync(one.kernel, 1, 1);
  const after = readKeyParts(one);
  t.not(templateKey(before), templateKey(after));
  t.deepEqual(differentParts(before, after), ["kernel", "qemu"]);
});

test("the order of parts does not count", (t) => {
  t.is(templateKey({ a: "1", b: "2" }), templateKey({ b: "2", a: "1" }));
});

test("a missing file is named", (t) => {
  t.throws(() => fingerprint("/nonexistent/qemu"), { message: /cannot look at \/nonexistent\/qemu: ENOENT/ });
});

test("it is cheap", (t) => {
  const one = plan(t);
  keyOf(one);
  // What it takes of the processor: others may be at work.
  const before = process.cpuUsage();
  for (let round = 0; round < 20; round += 1) keyOf(one);
  const { user, system } = process.cpuUsage(before);
  t.true((user + system) / 20 < 5_000);
});
