import { closeSync } from "node:fs";
import type { Deadline } from "../../sys/deadline.ts";
import { wrapError } from "../../sys/error.ts";
import { failpoint } from "../../sys/failpoint.ts";
import type { Ledger } from "../../sys/ledger.ts";
import { copyData, createMemoryFile } from "../../sys/memory-file.ts";
import type { RestoredGuest, VmNic, VmPlan } from "../hypervisor.ts";
import { createQemu, type QemuOptions } from "../qemu/qemu.ts";
import type { QemuVm } from "../qemu/vm.ts";
import { countMemoryIn } from "./count-memory.ts";
import { WARM_MAC } from "./key.ts";
import { loadState } from "./migrate.ts";
import { openPlaceholder } from "./placeholder.ts";
import { plugNic } from "./plug-nic.ts";
import { resumeGuest } from "./resume-guest.ts";
import type { OpenTemplate } from "./store.ts";

/** How a restored guest gets its memory: a copy of its own, or the template's until it writes. */
export type MemoryMode = "copy" | "cow";

/** Runs `work` as a step with a name: for timelines. */
export type Measure = <T>(step: string, work: () => Promise<T>) => Promise<T>;

export interface RestoreRequest {
  readonly plan: VmPlan;
  readonly nics: Promise<readonly VmNic[]>;
  readonly template: OpenTemplate;
  readonly memory: MemoryMode;
  readonly measure: Measure;
  /** Waits until the guest may run. Not set: at once. */
  readonly turn?: (() => Promise<void>) | undefined;
  /** The VM lives on when this process dies. */
  readonly outlives?: boolean;
}

export interface RestoredVm extends QemuVm {
  readonly restored: RestoredGuest;
}

/** Of the time that is left before and after the guest's turn, so much: what is left must do for a boot. */
const SHARE = 0.5;

/**
 * Starts a VM where the template was saved. Memory, QEMU and the pod's NICs come at the same time. The first NIC takes
 * the place of the template's: the guest finds it plugged in; the others are plugged in once the guest runs.
 */
export async function restoreVm(
  request: RestoreRequest,
  ledger: Ledger,
  deadline: Deadline,
): Promise<RestoredVm> {
  const { plan, template, measure, outlives = false } = request;
  await failpoint("factory.restore");
  if (request.memory === "copy") await countMemoryIn(plan.cgroups ?? [], ledger);
  using memory = startMemory(request);
  // The NIC that the template has on its command line is the first one plugged in here.
  const rootPorts = plan.rootPorts + (plan.firstNic === undefined ? 0 : 1);
  const spec = { ...plan, rootPorts, nics: [] };
  const options = { memory: memory.backing, incoming: true, outlives };
  const limit = partOf(deadline, plan.name);
  const vm = await measure("QEMU start", () => createQemu().start(spec, ledger, limit, options));
  try {
    return await takeOver(vm, request, memory.filled, deadline);
  } catch (error) {
    await vm.stop(deadline).catch(() => undefined);
    throw wrapError(error, {
      operation: "restore",
      object: `VM ${plan.name} from template ${template.manifest.key}`,
    });
  }
}

interface GuestMemory extends Disposable {
  readonly backing: QemuOptions["memory"];
  /** Resolves when the template's content is in it. */
  readonly filled: Promise<void>;
}

function startMemory({ template, memory, measure }: RestoreRequest): GuestMemory {
  const { memoryFd, manifest } = template;
  if (memory === "cow") {
    const backing = { fd: memoryFd, shared: false };
    return { backing, filled: Promise.resolve(), [Symbol.dispose]: () => undefined };
  }
  const fd = createMemoryFile("tapir-guest", manifest.memory.bytes);
  const filled = measure("memory copy", () => copyData(memoryFd, fd));
  filled.catch(() => undefined);
  // A copy that is still going on writes to this descriptor: its number must not become another file's.
  const close = (): void => closeSync(fd);
  return { backing: { fd, shared: true }, filled, [Symbol.dispose]: () => void filled.then(close, close) };
}

async function takeOver(
  vm: QemuVm,
  { plan, nics, template, measure, turn }: RestoreRequest,
  memoryFilled: Promise<void>,
  deadline: Deadline,
): Promise<RestoredVm> {
  const before = partOf(deadline, plan.name);
  const all = await before.race(nics);
  const warmNics = plan.firstNic === undefined ? 0 : 1;
  const [first, others] = [all.slice(0, warmNics).at(0), all.slice(warmNics)];
  using placeholder = first === undefined ? openPlaceholder(plan) : undefined;
  const warm = first ?? placeholder?.nic;
  const load = async (): Promise<void> => {
    if (warm !== undefined) await plugNic(vm, warm, before);
    // The devices look into it while their state is read.
    await memoryFilled;
    await loadState(vm.qmp, template.stateFd, before);
  };
  await measure("load state", load);
  await turn?.();
  const after = partOf(deadline, plan.name);
  const clock = await resumeGuest(vm, BigInt(template.manifest.monotonicNanoseconds), after);
  if (first === undefined && warm !== undefined) await vm.nics.detach(warm.id, after);
  for (const nic of others) await measure("hot-plug", () => plugNic(vm, nic, after));
  const hardwareMacs = new Map(first === undefined ? [] : [[first.id, WARM_MAC]]);
  return { ...vm, restored: { hardwareMacs, clock } };
}

function partOf(deadline: Deadline, name: string): Deadline {
  return deadline.within(deadline.remainingMs() * SHARE, `restore ${name}`);
}
