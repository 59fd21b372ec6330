import { prefixText } from "../../sys/netlink/address-text.ts";
import { type Address, IFA_F, type Route, RT_TABLE, RTPROT } from "../../sys/netlink/records.ts";

const IPV6_BITS = 128;
/** Of the routes of an address that says none (IP6_RT_PRIO_ADDRCONF of the kernel). */
const OWN_METRIC = 256;

/**
 * IPv6 routes that the kernel made with an address that is gone since: it does not always take them back (an address with
 * a peer, two addresses of one prefix of which one had another metric).
 */
export function orphanedRoutes(routes: readonly Route[], addresses: readonly Address[]): Route[] {
  const made = new Set(
    addresses.flatMap(({ family, index, address, prefixLength, peer, flags, routeMetric }) => {
      if (family === 4) return [];
      const metric = routeMetric || OWN_METRIC;
      return [
        ...((flags & IFA_F.NOPREFIXROUTE) === 0
          ? [keyOf(index, prefixText(address, prefixLength), metric)]
          : []),
        ...(peer === undefined ? [] : [keyOf(index, `${peer}/${IPV6_BITS}`, metric)]),
      ];
    }),
  );
  return routes.filter(
    ({ family, protocol, table, destination, index, metric }) =>
      family === 6 &&
      protocol === RTPROT.KERNEL &&
      table === RT_TABLE.MAIN &&
      destination !== "ff00::/8" &&
      destination !== "::1/128" &&
      !made.has(keyOf(index, destination, metric)),
  );
}

const keyOf = (index: number, destination: string, metric: number): string =>
  `${index} ${destination} ${metric}`;
