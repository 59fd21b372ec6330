import { countsMemory, joinCgroups, ownMemoryCgroup } from "../../sys/cgroup.ts";
import type { Ledger } from "../../sys/ledger.ts";

/**
 * Lets memory that this process fills for a VM count where the VM's processes are: pages belong to the cgroup of whoever
 * touches them first. This process goes back before the cgroup goes.
 */
export async function countMemoryIn(cgroups: readonly string[], ledger: Ledger): Promise<void> {
  const folder = cgroups.find(countsMemory);
  if (folder === undefined) return;
  const home = ownMemoryCgroup(folder);
  if (home === undefined || home === folder) return;
  await ledger.acquire("hypervisor.memory", { kind: "descriptors" }, ({ onRelease }) => {
    onRelease(async () => joinCgroups(process.pid, [home]));
    joinCgroups(process.pid, [folder]);
  });
}
