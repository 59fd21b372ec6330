import { basename } from "node:path";
import { TapirError } from "../sys/error.ts";
import { IFF, type Link } from "../sys/netlink/records.ts";
import { Code } from "../sys/status.ts";
import type { DiscoveredLink, DiscoveredNetwork } from "./discover.ts";
import { vethEndpoint } from "./endpoints/veth.ts";

export type EndpointKind = "veth";

/** One kind of link that a pod can have, told from the kernel's own description of it, never from its name. */
export interface EndpointDetector {
  readonly kind: EndpointKind;
  detects(link: Link): boolean;
}

/** A pod's link with what Tapir takes it for. */
export interface Endpoint {
  readonly kind: EndpointKind;
  readonly link: Link;
}

/** Tried in order; the first that knows the link has it. */
const detectors: readonly EndpointDetector[] = [vethEndpoint];

/** What an internetworking model says of itself before it connects anything. */
export interface ModelScope {
  readonly name: string;
  /** The kinds of link it can connect; a model that serves none attaches no NIC. */
  readonly serves: readonly EndpointKind[];
}

/**
 * The links that need a NIC in the guest, in order of index. A link that nobody uses (down, without address: the
 * kernel's own tunl0, sit0, gre0, ...) is passed over; one in use that the model cannot serve is an error.
 */
export function endpointsOf(network: DiscoveredNetwork, model: ModelScope): Endpoint[] {
  return network.links.filter(isUsed).map(({ link }) => {
    const detector = detectors.find((one) => one.detects(link));
    if (detector !== undefined && model.serves.includes(detector.kind)) return { kind: detector.kind, link };
    throw new TapirError({
      code: Code.UNIMPLEMENTED,
      operation: "attach",
      object: `${link.name} of netns ${basename(network.netns)}`,
      cause: `link kind "${describeKind(link)}" is not supported by internetworking_model "${model.name}"`,
      hint: 'use "none"',
    });
  });
}

function isUsed({ link, addresses }: DiscoveredLink): boolean {
  return (link.flags & IFF.UP) !== 0 || addresses.length > 0;
}

/** Links without a kind are the ones that a driver made, not a user. */
function describeKind({ kind, type }: Link): string {
  const ARPHRD_ETHER = 1;
  return kind ?? (type === ARPHRD_ETHER ? "physical" : `hardware type ${type}`);
}
