import { prefixText } from "../../sys/netlink/address-text.ts";
import { type Address, IFA_F, type Route, RT_TABLE, RTPROT } from "../../sys/netlink/records.ts";

const IPV6_BITS = 128;

/**
 * IPv6 routes that the kernel made with an address that is gone since: it does not always take them back (an address with
 * a peer, two addresses of one prefix of which one had another metric).
 */
export function orphanedRoutes(routes: readonly Route[], addresses: readonly Address[]): Route[] {
  const made = new Set(
    addresses.flatMap(({ index, address, prefixLength, peer, flags }) => [
      ...((flags & IFA_F.NOPREFIXROUTE) === 0 ? [`${index} ${prefixText(address, prefixLength)}`] : []),
      ...(peer === undefined ? [] : [`${index} ${peer}/${IPV6_BITS}`]),
    ]),
  );
  return routes.filter(
    ({ family, protocol, table, destination, index }) =>
      family === 6 &&
      protocol === RTPROT.KERNEL &&
      table === RT_TABLE.MAIN &&
      destination !== "ff00::/8" &&
      destination !== "::1/128" &&
      !made.has(`${index} ${destination}`),
  );
}
