import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import type { VmSpec } from "../../hypervisor/hypervisor.ts";
import { hasLedger, type Ledger, openLedger } from "../../sys/ledger.ts";
import { type FakeKernel, fakeKernel } from "./bzimage.ts";

const QEMU = "/usr/bin/qemu-system-x86_64";

export interface PreparedVm {
  readonly spec: VmSpec;
  readonly ledger: Ledger;
}

/** A VM that could start: state directory, files, a ledger that unwinds when the test ends. */
export function prepareVm(t: ExecutionContext, guest: FakeKernel = { ends: "halt" }): PreparedVm {
  const directory = mkdtempSync(join(tmpdir(), "tapir-vm-"));
  const [kernel, initramfs, image] = ["kernel", "initramfs", "image"].map((name) =>
    join(directory, name),
  ) as [string, string, string];
  writeFileSync(kernel, fakeKernel(guest));
  writeFileSync(initramfs, "initramfs");
  writeFileSync(image, "");
  truncateSync(image, 4 * 1024 * 1024);
  const ledger = openLedger(join(directory, "state"));
  t.teardown(async () => {
    if (hasLedger(ledger.directory)) await ledger.unwind();
    rmSync(directory, { recursive: true });
  });
  return {
    ledger,
    spec: {
      name: "test",
      directory: ledger.directory,
      qemu: QEMU,
      ...{ kernel, initramfs, image },
      imageDriver: "virtio-pmem",
      accelerator: "tcg",
      vcpus: 1,
      memoryMiB: 64,
      rootPorts: 2,
      kernelParameters: [],
      nics: [],
    },
  };
}
