import type { Link } from "../sys/netlink/records.ts";
import type { DiscoveredNetwork, HostDevice } from "./discover.ts";
import { endpointsOf, type ModelScope, type Refusal } from "./endpoint.ts";

/** What one guest NIC must be: the pod's link, seen from inside the VM. */
export interface NicPlan {
  /** QEMU id, unique within the VM: "net0". */
  readonly id: string;
  /** Name in the guest: the link's. */
  readonly name: string;
  /** MAC of the VM's NIC: the link's when it was plugged in. */
  readonly mac: string;
  readonly mtu: number;
  /** Queue pairs of the NIC, and descriptors of its tap. */
  readonly queues: number;
  /** The pod's link as it was discovered. */
  readonly link: Link;
  /** Name of the tap beside the link: at most 15 bytes. */
  readonly tapName: string;
  /** The NIC is this device of the node; there is no tap. */
  readonly device?: HostDevice;
}

/** More queues than this cost memory and interrupt vectors and bring nothing. */
const MAXIMUM_QUEUES = 16;

export interface NicPlans {
  /** In order of index. */
  readonly plans: readonly NicPlan[];
  /** Links in use that cannot have a NIC. */
  readonly refusals: readonly Refusal[];
}

interface PlanOptions {
  readonly model: ModelScope;
  readonly vcpus: number;
  readonly existing?: readonly NicPlan[];
}

/** The NICs that a pod starts with: one per link in use, or the first refusal is thrown. Pure. */
export function planNics(network: DiscoveredNetwork, options: PlanOptions): readonly NicPlan[] {
  const { plans, refusals } = planOrRefuse(network, options);
  const [first] = refusals;
  if (first !== undefined) throw first.error;
  return plans;
}

/**
 * One NIC per link in use that can have one; none when the model serves no link. A link that has its NIC already (`existing`)
 * keeps it: id, MAC in the VM and queues are what they were. Pure.
 */
export function planOrRefuse(network: DiscoveredNetwork, options: PlanOptions): NicPlans {
  const { model, vcpus, existing = [] } = options;
  if (model.serves.length === 0) return { plans: [], refusals: [] };
  const queues = queuesFor(vcpus);
  const taken = new Set(existing.map(({ id }) => id));
  const connected = new Set(existing.map(({ link }) => link.index));
  const { endpoints, refusals } = endpointsOf(network, model, connected);
  const plans = endpoints.map(({ link, device }): NicPlan => {
    const seen = { name: link.name, mtu: link.mtu, link };
    const known = existing.find((plan) => plan.link.index === link.index);
    if (known !== undefined) return { ...known, ...seen };
    const number = freeNumber(taken);
    taken.add(nicId(number));
    const made = { ...seen, id: nicId(number), mac: link.mac, queues, tapName: `tap${number}_tapir` };
    return device === undefined ? made : { ...made, device };
  });
  return { plans, refusals };
}

/** Queue pairs of each NIC of a VM. */
export function queuesFor(vcpus: number): number {
  return Math.max(1, Math.min(vcpus, MAXIMUM_QUEUES));
}

const nicId = (number: number): string => `net${number}`;

function freeNumber(taken: ReadonlySet<string>): number {
  let number = 0;
  while (taken.has(nicId(number))) number += 1;
  return number;
}
