import { copyFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PrepareGuest } from "../../hypervisor/factory/build.ts";
import type { FactorySettings } from "../../hypervisor/factory/factory.ts";
import type { VmPlan } from "../../hypervisor/hypervisor.ts";
import { hasLedger, type Ledger, openLedger } from "../../sys/ledger.ts";
import { fakeKernel } from "./bzimage.ts";

/** A factory whose guests are a few instructions long: everything around them is real. */
export interface FactoryBench {
  readonly directory: string;
  readonly store: string;
  readonly plan: VmPlan;
  /** Counts builds; the guest needs no preparation. */
  readonly prepare: PrepareGuest;
  readonly builds: () => number;
  readonly warnings: string[];
  readonly settings: FactorySettings;
  /** State directory of another VM. */
  ledger(name: string): Ledger;
}

/** Files on tmpfs, as the real thing has it. */
export function factoryBench(onEnd: (work: () => Promise<void>) => void): FactoryBench {
  const directory = mkdtempSync("/dev/shm/tapir-factory-");
  const [qemu, kernel, initramfs, image] = ["qemu", "kernel", "initramfs", "image"].map((name) =>
    join(directory, name),
  ) as [string, string, string, string];
  // A script, so that tests can exchange it.
  writeFileSync(qemu, '#!/bin/sh\nexec /usr/bin/qemu-system-x86_64 "$@"\n', { mode: 0o755 });
  writeFileSync(kernel, fakeKernel({ ends: "halt" }));
  copyFileSync(kernel, initramfs);
  writeFileSync(image, "");
  truncateSync(image, 4 * 1024 * 1024);
  const ledgers: Ledger[] = [];
  const warnings: string[] = [];
  let builds = 0;
  const prepare: PrepareGuest = async () => {
    builds += 1;
    return { guestNanoseconds: 5_000_000_000n, hostNanoseconds: process.hrtime.bigint() };
  };
  onEnd(async () => {
    for (const ledger of ledgers) if (hasLedger(ledger.directory)) await ledger.unwind();
    rmSync(directory, { recursive: true });
    rmSync(`${directory}/factory.lock`, { force: true });
  });
  const store = join(directory, "factory");
  return {
    directory,
    store,
    prepare,
    warnings,
    builds: () => builds,
    plan: {
      name: "test",
      directory,
      ...{ qemu, kernel, initramfs, image },
      imageDriver: "virtio-pmem",
      accelerator: "tcg",
      vcpus: 1,
      memoryMiB: 64,
      rootPorts: 1,
      kernelParameters: [],
      firstNic: { queues: 1, vhost: false },
    },
    settings: {
      template: true,
      store,
      memory: "copy",
      attach: "auto",
      prepare,
      measure: (_, work) => work(),
      warn: (message, error) => warnings.push(`${message}: ${error}`),
    },
    ledger(name) {
      const ledger = openLedger(join(directory, name));
      ledgers.push(ledger);
      return ledger;
    },
  };
}
