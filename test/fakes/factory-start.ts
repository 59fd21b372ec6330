import { appendFileSync, closeSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { createFactory, type FactorySettings } from "../../hypervisor/factory/factory.ts";
import { listTemplates } from "../../hypervisor/factory/store.ts";
import type { Vm, VmNic } from "../../hypervisor/hypervisor.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { errnoOf } from "../../sys/error.ts";
import { MS, mount, unmount } from "../../sys/mount.ts";
import { inFreshNetns } from "../../sys/netns.ts";
import { openTap } from "../../sys/tap.ts";
import { type FactoryBench, factoryBench } from "./factory.ts";

/** What tests of the factory have in common: they start VMs on a bench of their own. */
export const soon = (): Deadline => deadlineIn(40_000, "test");

export function bench(t: ExecutionContext): FactoryBench {
  return factoryBench((work) => t.teardown(work));
}

/** A NIC whose tap leads nowhere. */
export function nic(t: ExecutionContext, id: string, queues = 1): VmNic {
  const netns = "/proc/thread-self/ns/net";
  const tapFds = inFreshNetns(() => openTap({ netns, name: "tap0", queues }));
  t.teardown(() => {
    for (const fd of tapFds) closeSync(fd);
  });
  return { id, mac: "02:00:00:00:00:07", tapFds, vhostFds: [] };
}

let count = 0;

/** Starts another VM, with a ledger of its own, as a pod would. */
export async function start(
  t: ExecutionContext,
  { plan, settings, ledger }: FactoryBench,
  change: Partial<FactorySettings> = {},
  nics: readonly VmNic[] = [nic(t, "net0")],
): Promise<Vm> {
  count += 1;
  const own = ledger(`vm${count}`);
  const spec = { ...plan, name: `vm${count}`, directory: own.directory };
  return createFactory({ ...settings, ...change }).start(spec, Promise.resolve(nics), own, soon());
}

/** Directory of the only template there is. */
export function onlyTemplate({ store }: FactoryBench): string {
  const [template] = listTemplates(store);
  return join(store, template?.key ?? "none");
}

/** A tmpfs of its own for the templates. */
export function smallStore(t: ExecutionContext, { directory }: FactoryBench, size: string): string {
  const store = join(directory, "small");
  mkdirSync(store, { mode: 0o700 });
  const data = `size=${size},mode=0700`;
  mount({ source: "small", target: store, type: "tmpfs", flags: MS.NODEV, data });
  t.teardown(() => unmount(store));
  return store;
}

/** Takes what room there is. */
export function fill(path: string): void {
  const block = Buffer.alloc(64 << 10, 1);
  try {
    for (;;) appendFileSync(path, block);
  } catch (error) {
    if (errnoOf(error) !== "ENOSPC") throw error;
  }
}
