import { join } from "node:path";
import { chooseAccelerator } from "../../hypervisor/accelerator.ts";
import type { PrepareGuest } from "../../hypervisor/factory/build.ts";
import { obtainTemplate } from "../../hypervisor/factory/obtain.ts";
import { type RestoredVm, restoreVm } from "../../hypervisor/factory/restore.ts";
import { connectAgent } from "../../shim/agent-client.ts";
import { REHEARSAL, rehearsalNetwork } from "../../shim/factory/rehearsal.ts";
import { guestRequest } from "../../shim/sandbox/guest-request.ts";
import type { Deadline } from "../../sys/deadline.ts";
import type { Ledger } from "../../sys/ledger.ts";
import { BUILT, built } from "./project.ts";

export interface GuestToRestore {
  readonly name: string;
  /** For the template: on tmpfs, not there yet. */
  readonly store: string;
  readonly vcpus: number;
  readonly rootPorts: number;
  /** What its clock is behind when it is saved. */
  readonly nanosecondsBehind?: bigint;
}

/** A guest that was booted, saved and restored below containerd: hypervisor and agent alone. It has no NIC and is nobody's. */
export async function restoreGuest(
  { name, store, vcpus, rootPorts, nanosecondsBehind = 0n }: GuestToRestore,
  ledger: Ledger,
  deadline: Deadline,
): Promise<RestoredVm> {
  const plan = {
    name,
    directory: ledger.directory,
    qemu: "/usr/bin/qemu-system-x86_64",
    kernel: built(join(BUILT.guest, "vmlinuz")),
    initramfs: built(join(BUILT.guest, "initramfs.cpio")),
    image: built(join(BUILT.guest, "root.erofs")),
    imageDriver: "virtio-pmem",
    accelerator: chooseAccelerator("auto"),
    vcpus,
    memoryMiB: 256,
    rootPorts,
    kernelParameters: [],
    firstNic: undefined,
  } as const;
  const prepare = prepareWithClock(nanosecondsBehind);
  using template = await obtainTemplate({ plan, store, prepare }, deadline);
  return await restoreVm(
    { plan, template, nics: Promise.resolve([]), memory: "copy", measure: (_, work) => work() },
    ledger,
    deadline,
  );
}

/** Without the rehearsals that make a start quick. */
function prepareWithClock(nanosecondsBehind: bigint): PrepareGuest {
  return async ({ agentSocket }, deadline) => {
    using agent = connectAgent(agentSocket);
    await agent.ready(deadline);
    const request = guestRequest(REHEARSAL, rehearsalNetwork(undefined), deadline.remainingMs());
    const unixTimeNanoseconds = request.unixTimeNanoseconds - nanosecondsBehind;
    const old = { unixTimeNanoseconds, madeUnixTimeNanoseconds: 0n };
    await agent.createSandbox({ ...request, ...old }, deadline);
    await agent.destroySandbox({ powerOff: false }, deadline);
    const asked = process.hrtime.bigint();
    const { monotonicNanoseconds: guestNanoseconds } = await agent.check(deadline);
    return { guestNanoseconds, hostNanoseconds: (asked + process.hrtime.bigint()) / 2n };
  };
}
