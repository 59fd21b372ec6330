import type { VmPlan } from "../../hypervisor.ts";
import { readKeyParts, templateKey } from "../key.ts";
import type { MemoryMode } from "../restore.ts";

/** A clone fits pods whose template is the same and who want its memory the same way. */
export function cacheKey(plan: VmPlan, memory: MemoryMode): string {
  return `${templateKey(readKeyParts(plan))}-${memory}`;
}

/** The clone gave its template's NIC back: that root port is free, too. */
export function freeRootPorts(plan: VmPlan): number {
  return plan.rootPorts + (plan.firstNic === undefined ? 0 : 1);
}
