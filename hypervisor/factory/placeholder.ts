import { closeSync } from "node:fs";
import { inFreshNetns } from "../../sys/netns.ts";
import { openTap, openVhostNet } from "../../sys/tap.ts";
import type { VmNic, VmPlan } from "../hypervisor.ts";
import { WARM_MAC } from "./key.ts";

/** A NIC that leads nowhere. */
export interface PlaceholderNic extends Disposable {
  readonly nic: VmNic;
}

/**
 * The NIC of a template, and of a restored guest whose pod has none. Its tap is real, in a network namespace that nobody is
 * in and that goes with it: only a tap's virtio-net header makes the guest agree to what pods' taps can do.
 */
export function openPlaceholder({ firstNic }: VmPlan): PlaceholderNic | undefined {
  if (firstNic === undefined) return undefined;
  const { queues, vhost } = firstNic;
  const tapFds = inFreshNetns(() => openTap({ netns: "/proc/thread-self/ns/net", name: "tap0", queues }));
  const vhostFds = vhost ? openVhostNet(queues) : [];
  return {
    nic: { id: "warm", mac: WARM_MAC, tapFds, vhostFds },
    [Symbol.dispose]: () => {
      for (const fd of [...tapFds, ...vhostFds]) closeSync(fd);
    },
  };
}
