import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Deadline } from "../../../sys/deadline.ts";
import { type Ledger, openLedger } from "../../../sys/ledger.ts";
import type { VmPlan } from "../../hypervisor.ts";
import type { QemuVm, VmDescriptors } from "../../qemu/vm.ts";
import type { PrepareGuest } from "../build.ts";
import { openPlaceholder } from "../placeholder.ts";
import { type MemoryMode, restoreVm } from "../restore.ts";
import { stopGuest } from "../stop-guest.ts";
import type { OpenTemplate } from "../store.ts";
import type { OfferedClone } from "./message.ts";

/** A restored guest that stands still and is nobody's yet. */
export interface Clone {
  readonly directory: string;
  /** Resolves, never rejects, when its QEMU is gone. */
  readonly exited: Promise<unknown>;
  /** What its next owner must know, and copies of what it must hold: to be closed when they are sent. */
  offer(): { readonly clone: OfferedClone; readonly descriptors: VmDescriptors };
  /** It is in another ledger: forgets it. */
  cede(): void;
  /** Ends it, unless it is another's. */
  remove(): Promise<void>;
}

export interface CloneRequest {
  readonly plan: VmPlan;
  readonly template: OpenTemplate;
  readonly memory: MemoryMode;
  readonly prepare: PrepareGuest;
}

const PLACEHOLDER = "rehearsal";

/**
 * Restores a guest in a directory of its own below `home`, lets it play a pod's start once, and stops it. Emulation has then
 * translated what a start runs. Leaves nothing when it fails.
 */
export async function makeClone(home: string, request: CloneRequest, deadline: Deadline): Promise<Clone> {
  const name = randomBytes(4).toString("hex");
  const ledger = openLedger(join(home, name));
  try {
    const plan = { ...request.plan, name: `cache-${name}`, directory: ledger.directory };
    const { template, memory } = request;
    const vm = await restoreVm(
      { plan, template, memory, nics: Promise.resolve([]), measure: (_, work) => work(), outlives: true },
      ledger,
      deadline,
    );
    const monotonic = await rehearse(vm, request, deadline);
    return cloneOf(vm, ledger, monotonic);
  } catch (error) {
    await ledger.unwind().catch(() => undefined);
    throw error;
  }
}

/** Returns where the guest's CLOCK_MONOTONIC stands. */
async function rehearse(vm: QemuVm, { plan, prepare }: CloneRequest, deadline: Deadline): Promise<bigint> {
  using placeholder = openPlaceholder(plan);
  const nic = placeholder === undefined ? undefined : { ...placeholder.nic, id: PLACEHOLDER };
  if (nic !== undefined) await vm.nics.attach(nic, deadline);
  const moment = await prepare({ agentSocket: vm.agentSocket, nicMac: nic?.mac }, deadline);
  if (nic !== undefined) await vm.nics.detach(nic.id, deadline);
  return stopGuest(vm, moment, deadline);
}

function cloneOf(vm: QemuVm, ledger: Ledger, monotonic: bigint): Clone {
  const { directory } = ledger;
  return {
    directory,
    exited: vm.exited,
    offer() {
      const { identity, token, qemuVersion, descriptors } = vm.cede();
      const monotonicNanoseconds = String(monotonic);
      return { clone: { directory, ...identity, token, qemuVersion, monotonicNanoseconds }, descriptors };
    },
    cede: ledger.cede,
    remove: ledger.unwind,
  };
}
