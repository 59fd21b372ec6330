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

/** A link in use that cannot be connected. */
export interface Refusal {
  readonly link: Link;
  /** Names the link, the reason and a way out. */
  readonly error: TapirError;
}

export interface Endpoints {
  /** In order of index. */
  readonly endpoints: readonly Endpoint[];
  readonly refusals: readonly Refusal[];
}

/**
 * The links that need a NIC in the guest, and those in use that cannot have one. Passed over are a link that nobody uses (down,
 * without address: the kernel's own tunl0, sit0, gre0, ...), one that only carries another (a bridge's port, what a vlan lies
 * on), and Tapir's taps. Of two that exclude each other the one that is `connected` already (by index) stays. Pure.
 */
export function endpointsOf(
  network: DiscoveredNetwork,
  model: ModelScope,
  connected: ReadonlySet<number> = new Set(),
): Endpoints {
  const used = network.links.filter(isUsed);
  const looked = used
    .filter((found) => !isCarrier(found, used))
    .map((found) => endpointOf(network, found, model));
  const able = looked.filter((one) => "kind" in one);
  const shadowed = able.flatMap(({ link }) => {
    const why = shadowOf(link, able, connected);
    return why === undefined ? [] : [refusal(network, link, why)];
  });
  const lost = new Set(shadowed.map(({ link }) => link.index));
  return {
    endpoints: able.filter(({ link }) => !lost.has(link.index)),
    refusals: [...looked.filter((one) => "error" in one), ...shadowed],
  };
}

function endpointOf(
  network: DiscoveredNetwork,
  { link, device }: DiscoveredLink,
  model: ModelScope,
): Endpoint | Refusal {
  if (isPhysical(link)) {
    const usable = usableDevice(device);
    return "cause" in usable ? refusal(network, link, usable) : { kind: "physical", link, device: usable };
  }
  const detector = detectors.find((one) => one.detects(link));
  if (detector !== undefined && model.serves.includes(detector.kind)) return { kind: detector.kind, link };
  const cause = `link kind "${describeKind(link)}" is not supported by internetworking_model "${model.name}"`;
  const other = detector === undefined ? "none" : "tcfilter";
  return refusal(network, link, refusalOf(link) ?? { cause, hint: `use "${other}"` });
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

interface Why {
  readonly cause: string;
  readonly hint: string;
}

/** Every frame of a connected link goes to the guest: what lies on it or behind it would get none. */
function shadowOf(
  link: Link,
  endpoints: readonly Endpoint[],
  connected: ReadonlySet<number>,
): Why | undefined {
  const others = endpoints.map((one) => one.link).filter((other) => other !== link);
  const hasNic = ({ index }: Link): boolean => connected.has(index);
  const isBefore = (one: Link, other: Link): boolean => hasNic(one) && !hasNic(other);
  const lower = others.find((other) => liesOn(link, other));
  if (lower !== undefined && !isBefore(link, lower)) {
    const cause = `it lies on ${lower.name}, which has addresses and is connected itself`;
    return { cause, hint: `take the addresses off ${lower.name}` };
  }
  const upper = others.find((other) => liesOn(other, link) && isBefore(other, link));
  if (upper !== undefined) {
    const cause = `${upper.name}, which lies on it, is connected, and would get no frames any more`;
    return { cause, hint: `take the addresses off ${link.name}` };
  }
  const twin = others.find(
    (other) =>
      other.mac === link.mac &&
      (hasNic(other) === hasNic(link) ? other.index < link.index : isBefore(other, link)),
  );
  if (twin === undefined) return undefined;
  const cause = `it has the MAC of ${twin.name}, ${link.mac}, and a guest knows its NICs by their MACs`;
  return { cause, hint: "use macvlan instead of a second ipvlan on the same device" };
}

function refusal(network: DiscoveredNetwork, link: Link, why: Why): Refusal {
  const object = `${link.name} of netns ${basename(network.netns)}`;
  return { link, error: new TapirError({ code: Code.UNIMPLEMENTED, operation: "attach", object, ...why }) };
}

/** Links without a kind are the ones that a driver made, not a user. */
function describeKind({ kind, type }: Link): string {
  return kind ?? `hardware type ${type}`;
}
