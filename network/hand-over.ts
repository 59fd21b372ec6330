import { basename } from "node:path";
import type { Deadline } from "../sys/deadline.ts";
import { TapirError, wrapError } from "../sys/error.ts";
import type { ProcessIdentity } from "../sys/identity.ts";
import type { Ledger } from "../sys/ledger.ts";
import type { Route } from "../sys/netlink/records.ts";
import { bindToVfio } from "../sys/pci/driver.ts";
import { isGroupViable } from "../sys/pci/vfio-group.ts";
import { Code } from "../sys/status.ts";
import type { DiscoveredLink, DiscoveredNetwork, HostDevice } from "./discover.ts";
import type { NicPlan } from "./nic-plan.ts";

/** A device of the node that is a pod's: its link is gone from the namespace, and this is what that said of it. */
export interface HandedOver {
  readonly plan: NicPlan;
  readonly device: HostDevice;
  readonly found: DiscoveredLink;
  readonly routes: readonly Route[];
  /** Gives it back to its driver, and its link to the namespace. The VM must have let go before. */
  release(): Promise<void>;
}

/** Takes a planned NIC's device from its driver, for `user`, the VM's process, to have. In the ledger. */
export async function handOver(
  network: DiscoveredNetwork,
  plan: NicPlan,
  device: HostDevice,
  how: { readonly ledger: Ledger; readonly user: ProcessIdentity | undefined },
  deadline: Deadline,
): Promise<HandedOver> {
  const { netns, netnsInode } = network;
  const object = `${plan.name} of netns ${basename(netns)}`;
  try {
    const found = network.links.find(({ link }) => link.index === plan.link.index);
    const { address, driver, group } = device;
    if (found === undefined || driver === undefined || group === undefined) throw gone(address);
    const { name, mac, mtu, flags, alias } = found.link;
    const entry = {
      ...({ kind: "pci-device", netns, netnsInode, address, driver, group } as const),
      link: { name, mac, mtu, flags, alias },
      addresses: found.addresses,
      ...(how.user === undefined ? {} : { user: how.user }),
    };
    const { release } = await how.ledger.acquire("network.device", entry, async () => {
      await deadline.race(bindToVfio(device));
      if (!isGroupViable(group)) throw notViable(device);
    });
    const routes = network.routes.filter(({ index }) => index === found.link.index);
    return { plan, device, found, routes, release };
  } catch (error) {
    throw wrapError(error, { operation: "attach", object });
  }
}

/** The namespace with the links that were handed over, as it was with them: what the guest has to be like. */
export function withHandedOver(network: DiscoveredNetwork, handed: readonly HandedOver[]): DiscoveredNetwork {
  const missing = handed.filter(({ found }) =>
    network.links.every(({ link }) => link.index !== found.link.index),
  );
  if (missing.length === 0) return network;
  return {
    ...network,
    links: [...network.links, ...missing.map(({ found }) => found)].sort(
      (a, b) => a.link.index - b.link.index,
    ),
    routes: [...network.routes, ...missing.flatMap(({ routes }) => routes)],
  };
}

function gone(address: string): TapirError {
  const object = `PCI device ${address}`;
  const cause = "it is not as it was a moment ago";
  return new TapirError({ code: Code.ABORTED, operation: "hand over", object, cause, hint: "try again" });
}

function notViable({ address, group }: HostDevice): TapirError {
  return new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "hand over",
    object: `PCI device ${address}`,
    cause: `IOMMU group ${group} has other devices in use`,
    hint: "use a slot with ACS",
  });
}
