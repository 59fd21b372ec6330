import type { Link } from "../sys/netlink/records.ts";
import type { DiscoveredNetwork } from "./discover.ts";
import { endpointsOf, type ModelScope } from "./endpoint.ts";

/** What one guest NIC must be: the pod's link, seen from inside the VM. */
export interface NicPlan {
  /** QEMU id, unique within the VM: "net0". */
  readonly id: string;
  /** Name in the guest: the link's. */
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  /** Queue pairs of the NIC, and descriptors of its tap. */
  readonly queues: number;
  /** The pod's link as it was discovered. */
  readonly link: Link;
  /** Name of the tap beside the link: at most 15 bytes. */
  readonly tapName: string;
}

/** More queues than this cost memory and interrupt vectors and bring nothing. */
const MAXIMUM_QUEUES = 16;

/** One NIC per link in use, in order of index; none when the model serves no link. Pure. */
export function planNics(
  network: DiscoveredNetwork,
  options: { readonly model: ModelScope; readonly vcpus: number },
): NicPlan[] {
  if (options.model.serves.length === 0) return [];
  const queues = queuesFor(options.vcpus);
  return endpointsOf(network, options.model).map(({ link }, position) => ({
    id: `net${position}`,
    name: link.name,
    mac: link.mac,
    mtu: link.mtu,
    queues,
    link,
    tapName: `tap${position}_tapir`,
  }));
}

/** Queue pairs of each NIC of a VM. */
export function queuesFor(vcpus: number): number {
  return Math.max(1, Math.min(vcpus, MAXIMUM_QUEUES));
}
