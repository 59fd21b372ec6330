import { chooseAccelerator } from "../../hypervisor/accelerator.ts";
import { destroyFactory } from "../../hypervisor/factory/destroy.ts";
import { readKeyParts, templateKey } from "../../hypervisor/factory/key.ts";
import { forgetMisfortune } from "../../hypervisor/factory/misfortune.ts";
import { obtainTemplate } from "../../hypervisor/factory/obtain.ts";
import { type FactoryStatus, factoryStatus } from "../../hypervisor/factory/status.ts";
import type { VmPlan } from "../../hypervisor/hypervisor.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import type { Configuration } from "../config/schema.ts";
import { timeoutMs } from "../config/timeout.ts";
import { type CacheStatus, cacheStatus } from "./cache-status.ts";
import { prepareGuest } from "./prepare-guest.ts";
import { vmPlan } from "./vm-plan.ts";

/** Its templates and its VM cache. */
export interface NodeFactoryStatus extends FactoryStatus {
  readonly cache: CacheStatus;
}

/** The node's factory, as its operator deals with it. */
export interface NodeFactory {
  /** Makes the template for pods of the node's configuration, unless it is there; what went wrong before does not count. */
  init(): Promise<void>;
  status(): Promise<NodeFactoryStatus>;
  destroy(): Promise<void>;
}

export function nodeFactory(configuration: Configuration): NodeFactory {
  const store = configuration.factory.path;
  const accelerator = chooseAccelerator(configuration.hypervisor.qemu.accelerator);
  const within = (job: string): Deadline =>
    deadlineIn(timeoutMs(configuration, configuration.runtime.createTimeoutSeconds, accelerator), job);
  const plan = (): VmPlan =>
    podPlan(configuration, vmPlan(configuration, accelerator, { name: "", directory: "" }));
  return {
    async init() {
      const wanted = plan();
      forgetMisfortune(store, templateKey(readKeyParts(wanted)));
      using _template = await obtainTemplate(
        { plan: wanted, store, prepare: prepareGuest },
        within("build a template"),
      );
    },
    async status() {
      const wanted = plan();
      const cache = await cacheStatus(configuration, wanted);
      return { ...factoryStatus(store, readKeyParts(wanted)), cache };
    },
    destroy: () => destroyFactory(store, within("destroy the factory")),
  };
}

/** Pods whose NICs are all plugged in have a template without one. */
export function podPlan({ factory }: Configuration, plan: VmPlan): VmPlan {
  return factory.attach === "hot" ? { ...plan, firstNic: undefined } : plan;
}
