import type { DiscoveredNetwork } from "../discover.ts";
import type { NicPlan } from "../nic-plan.ts";

const HOST_BITS_OF_A_SUBNET = 31;

/**
 * What the guest can ping so that something goes by on each NIC: its gateways, else the first address of its IPv4 subnet.
 * Pure.
 */
export function probeAddresses({ links, routes }: DiscoveredNetwork, plans: readonly NicPlan[]): string[] {
  return plans.flatMap(({ name, link: { index } }) => {
    const gateways = routes.filter((route) => route.index === index && route.gateway !== undefined);
    // A link-local address says nothing without its link.
    const named = gateways.map(({ gateway = "" }) =>
      gateway.startsWith("fe80:") ? `${gateway}%${name}` : gateway,
    );
    if (named.length > 0) return [...new Set(named)];
    const found = links.find(({ link }) => link.index === index);
    const subnet = found?.addresses.find(
      ({ family, prefixLength }) => family === 4 && prefixLength < HOST_BITS_OF_A_SUBNET,
    );
    return subnet === undefined ? [] : [firstOther(subnet.address, subnet.prefixLength)];
  });
}

function firstOther(address: string, prefixLength: number): string {
  const own = address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
  const size = 2 ** (32 - prefixLength);
  const network = Math.floor(own / size) * size;
  const other = network + 1 === own ? network + 2 : network + 1;
  return [24, 16, 8, 0].map((shift) => Math.floor(other / 2 ** shift) % 256).join(".");
}
