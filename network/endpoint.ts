import { basename } from "node:path";
import { TapirError } from "../sys/error.ts";
import { IFF, type Link, RT_SCOPE } from "../sys/netlink/records.ts";
import { Code } from "../sys/status.ts";
import type { DiscoveredLink, DiscoveredNetwork, HostDevice } from "./discover.ts";
import type { EndpointDetector, EndpointKind, LinkKind } from "./endpoints/kind.ts";
import { isPhysical, usableDevice } from "./endpoints/physical.ts";
import { refusalOf } from "./endpoints/refused.ts";
import { tapEndpoint } from "./endpoints/tap.ts";
import { virtualEndpoints } from "./endpoints/virtual.ts";
import { isOwnTap } from "./pod-tap-mark.ts";

/** A pod's link with what Tapir takes it for. */
export interface Endpoint {
  readonly kind: EndpointKind;
  readonly link: Link;
  /** Of a physical one. */
  readonly device?: HostDevice;
}

/** Tried in order; the first that knows the link has it. */
const detectors: readonly EndpointDetector[] = [...virtualEndpoints, tapEndpoint];

/** What an internetworking model says of itself before it connects anything. */
export interface ModelScope {
  readonly name: string;
  /** The kinds of link it can connect; a model that serves none attaches no NIC. */
  readonly serves: readonly LinkKind[];
}

/**
 * The links that need a NIC in the guest, in order of index. Passed over are a link that nobody uses (down, without address:
 * the kernel's own tunl0, sit0, gre0, ...), one that only carries another (a bridge's port, what a vlan lies on), and Tapir's
 * taps. One in use that cannot be connected is an error.
 */
export function endpointsOf(network: DiscoveredNetwork, model: ModelScope): Endpoint[] {
  const used = network.links.filter(isUsed);
  const endpoints = used
    .filter((found) => !isCarrier(found, used))
    .map((found): Endpoint => {
      const { link } = found;
      if (isPhysical(link)) return physicalEndpoint(network, found);
      const detector = detectors.find((one) => one.detects(link));
      if (detector !== undefined && model.serves.includes(detector.kind))
        return { kind: detector.kind, link };
      const cause = `link kind "${describeKind(link)}" is not supported by internetworking_model "${model.name}"`;
      const other = detector === undefined ? "none" : "tcfilter";
      throw refusal(network, link, refusalOf(link) ?? { cause, hint: `use "${other}"` });
    });
  for (const { link } of endpoints) refuseShadowed(network, link, endpoints);
  return endpoints;
}

function physicalEndpoint(network: DiscoveredNetwork, { link, device }: DiscoveredLink): Endpoint {
  const usable = usableDevice(device);
  if ("cause" in usable) throw refusal(network, link, usable);
  return { kind: "physical", link, device: usable };
}

function isUsed({ link, addresses }: DiscoveredLink): boolean {
  return !isOwnTap(link) && ((link.flags & IFF.UP) !== 0 || addresses.length > 0);
}

/** Without an address of its own, and there for another link of the namespace. */
function isCarrier({ link, addresses }: DiscoveredLink, used: readonly DiscoveredLink[]): boolean {
  if (addresses.some(({ scope }) => scope !== RT_SCOPE.LINK)) return false;
  return link.masterIndex !== 0 || used.some((other) => liesOn(other.link, link));
}

/** Whether `upper` sends and receives through `lower`; a veth's peer is beside it, not below. */
function liesOn(upper: Link, lower: Link): boolean {
  if (upper.kind === "veth" || upper.peerElsewhere === true) return false;
  return upper.peerIndex === lower.index && upper.index !== lower.index;
}

/** Every frame of a connected link goes to the guest: what lies on it or behind it would get none. */
function refuseShadowed(network: DiscoveredNetwork, link: Link, endpoints: readonly Endpoint[]): void {
  const lower = endpoints.find((other) => liesOn(link, other.link));
  if (lower !== undefined) {
    const cause = `it lies on ${lower.link.name}, which has addresses and is connected itself`;
    throw refusal(network, link, { cause, hint: `take the addresses off ${lower.link.name}` });
  }
  const twin = endpoints.find((other) => other.link.index < link.index && other.link.mac === link.mac);
  if (twin === undefined) return;
  const cause = `it has the MAC of ${twin.link.name}, ${link.mac}, and a guest knows its NICs by their MACs`;
  throw refusal(network, link, { cause, hint: "use macvlan instead of a second ipvlan on the same device" });
}

function refusal(
  network: DiscoveredNetwork,
  link: Link,
  why: { readonly cause: string; readonly hint: string },
): TapirError {
  const object = `${link.name} of netns ${basename(network.netns)}`;
  return new TapirError({ code: Code.UNIMPLEMENTED, operation: "attach", object, ...why });
}

/** Links without a kind are the ones that a driver made, not a user. */
function describeKind({ kind, type }: Link): string {
  return kind ?? `hardware type ${type}`;
}
