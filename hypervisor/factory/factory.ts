import type { Deadline } from "../../sys/deadline.ts";
import type { Ledger } from "../../sys/ledger.ts";
import type { Hypervisor, Vm, VmNic, VmPlan } from "../hypervisor.ts";
import { createQemu } from "../qemu/qemu.ts";
import type { PrepareGuest } from "./build.ts";
import { takeClone } from "./cache/take.ts";
import { distrustTemplate, trustTemplate } from "./distrust.ts";
import { obtainTemplate } from "./obtain.ts";
import { isNicFailure } from "./plug-nic.ts";
import { type Measure, type MemoryMode, type RestoredVm, restoreVm } from "./restore.ts";
import { countHit, type OpenTemplate } from "./store.ts";

export interface FactorySettings {
  /** Off: every guest boots. */
  readonly template: boolean;
  /** Directory of the templates. */
  readonly store: string;
  readonly memory: MemoryMode;
  /** How the first NIC comes: with the VM's boot, in the place of the template's, or plugged in later. */
  readonly attach: "auto" | "cold" | "warm" | "hot";
  /** Where a server hands over guests that are restored already; not set: there is none. */
  readonly cacheSocket?: string | undefined;
  readonly prepare: PrepareGuest;
  readonly measure: Measure;
  /** Waits until this guest may run; asked as late as possible, and perhaps more than once. Not set: it may at any time. */
  readonly turn?: (() => Promise<void>) | undefined;
  /** Told why a guest boots that should have been restored. */
  warn(message: string, error: unknown): void;
}

/** Of the time for a start, so much may go into a template: what is left must do for a boot. */
const TEMPLATE_SHARE = 0.5;

/** Starts VMs from the cache, else from templates, and by booting them where there is none that works. */
export function createFactory(settings: FactorySettings): Hypervisor {
  return {
    async start(plan, nics, ledger, deadline) {
      nics.catch(() => undefined);
      const planned = settings.attach === "hot" ? { ...plan, firstNic: undefined } : plan;
      const usesTemplate = settings.template && settings.attach !== "cold";
      const cached = usesTemplate ? await tryCache(settings, planned, nics, ledger, deadline) : undefined;
      if (cached !== undefined) return cached;
      const restored = usesTemplate ? await tryRestore(settings, planned, nics, ledger, deadline) : undefined;
      return restored ?? boot(settings, plan, nics, ledger, deadline);
    },
  };
}

async function boot(
  { measure, turn }: FactorySettings,
  plan: VmPlan,
  nics: Promise<readonly VmNic[]>,
  ledger: Ledger,
  deadline: Deadline,
): Promise<Vm> {
  const spec = { ...plan, nics: await deadline.race(nics) };
  await turn?.();
  return measure("QEMU start", () => createQemu().start(spec, ledger, deadline));
}

/** Undefined when there is no VM in the cache, or taking it failed: it only would have been quicker. */
async function tryCache(
  { cacheSocket, attach, memory, measure, turn, warn }: FactorySettings,
  plan: VmPlan,
  nics: Promise<readonly VmNic[]>,
  ledger: Ledger,
  deadline: Deadline,
): Promise<Vm | undefined> {
  // Its NICs are all plugged in.
  if (cacheSocket === undefined || attach === "warm") return undefined;
  let vm: RestoredVm | undefined;
  try {
    await turn?.();
    vm = await measure("cache", () => takeClone({ socket: cacheSocket, plan, memory }, ledger, deadline));
    if (vm === undefined) return undefined;
    for (const nic of await deadline.race(nics)) {
      await measure("hot-plug", () => vm?.nics.attach(nic, deadline) ?? Promise.resolve());
    }
    return vm;
  } catch (error) {
    await vm?.stop(deadline).catch(() => undefined);
    deadline.signal.throwIfAborted();
    // Without NICs there is nothing to restore for either.
    await deadline.race(nics);
    warn("no VM from the cache: the pod gets one of its own", error);
    return undefined;
  }
}

/** Undefined when there is no template, or restoring it failed: that is no reason for a pod to fail. */
async function tryRestore(
  settings: FactorySettings,
  plan: VmPlan,
  nics: Promise<readonly VmNic[]>,
  ledger: Ledger,
  deadline: Deadline,
): Promise<Vm | undefined> {
  const { store, memory, prepare, measure, turn, warn } = settings;
  const limit = deadline.within(deadline.remainingMs() * TEMPLATE_SHARE, `get a template for ${plan.name}`);
  let template: OpenTemplate;
  try {
    template = await measure("template", () => obtainTemplate({ plan, store, prepare }, limit));
  } catch (error) {
    deadline.signal.throwIfAborted();
    warn("no template: the guest boots", error);
    return undefined;
  }
  using opened = template;
  try {
    const request = { plan, nics, template: opened, memory, measure, turn };
    const vm = await restoreVm(request, ledger, deadline);
    countHit(store, opened.manifest.key);
    const distrust = (reason: unknown): void => distrustTemplate(store, opened, reason);
    const trust = (): void => trustTemplate(store, opened);
    return { ...vm, restored: { ...vm.restored, trust, distrust } };
  } catch (error) {
    deadline.signal.throwIfAborted();
    // Without NICs there is nothing to boot for either.
    await deadline.race(nics);
    if (isNicFailure(error)) {
      warn("a NIC of the pod cannot be plugged in: the guest boots", error);
      return undefined;
    }
    distrustTemplate(store, opened, error);
    warn("the template cannot be restored: the guest boots", error);
    return undefined;
  }
}
