import type { DiscoveredNetwork } from "../../../network/discover.ts";
import { planGuest } from "../../../network/guest-plan.ts";
import { modelNamed } from "../../../network/models.ts";
import { planNics } from "../../../network/nic-plan.ts";
import { CreateSandboxRequest } from "../../../proto/gen/tapir/agent/v1/agent.ts";
import { decodeAddress } from "../../../sys/netlink/address.ts";
import { decodeLink } from "../../../sys/netlink/link.ts";
import { decodeMessages, encodeMessage, RTM } from "../../../sys/netlink/message.ts";
import { decodeNeighbor } from "../../../sys/netlink/neighbor.ts";
import { IFF } from "../../../sys/netlink/records.ts";
import { decodeRoute } from "../../../sys/netlink/route-codec.ts";
import { decodeRule } from "../../../sys/netlink/rule.ts";
import type { Target } from "../fuzz.ts";
import { address, link, neighbor, route, rule } from "./netlink.ts";

const model = modelNamed("tcfilter");
const messages: readonly (readonly [number, Buffer])[] = [
  [RTM.NEWLINK, link],
  [RTM.NEWADDR, address],
  [RTM.NEWROUTE, route],
  [RTM.NEWNEIGH, neighbor],
  [RTM.NEWRULE, rule],
];
const encoded = messages.map(([type, payload]) =>
  encodeMessage({ type, flags: 2, sequence: 1, port: 0, payload }),
);

/** Nothing in a guest speaks DHCP: what CNI left in the kernel goes the whole way to the message that the agent gets. */
export const networkTarget: Target = {
  name: "network records",
  // The link's seed is eth0 with index 2, and up.
  seeds: [Buffer.concat(encoded), Buffer.concat([...encoded, ...encoded.slice(1)])],
  words: [],
  run(input) {
    const network = networkOf(input);
    const nics = planNics(network, { model, vcpus: 2 });
    const guest = planGuest(network, nics);
    const sent = CreateSandboxRequest.fromPartial({ sandboxId: "pod", ...guest });
    const got = CreateSandboxRequest.decode(CreateSandboxRequest.encode(sent).finish());
    for (const key of ["interfaces", "routes", "rules", "neighbors"] as const) {
      if (got[key].length !== guest[key].length) throw new Error(`${key} are lost on the way to the guest`);
    }
    if (guest.interfaces.length !== nics.length) throw new Error("not each NIC has its interface");
    for (const { id, tapName } of nics) {
      if (!/^net\d+$/.test(id) || tapName.length > 15) throw new Error(`NIC ${id} with tap ${tapName}`);
    }
  },
};

function networkOf(input: Buffer): DiscoveredNetwork {
  const dump = decodeMessages(input);
  const all = <T>(wanted: number, decode: (payload: Buffer) => T | undefined): T[] =>
    dump.flatMap(({ type, payload }) => (type === wanted ? (decode(payload) ?? []) : []));
  const addresses = all(RTM.NEWADDR, decodeAddress);
  const neighbors = all(RTM.NEWNEIGH, decodeNeighbor);
  const links = all(RTM.NEWLINK, decodeLink).filter(({ flags }) => (flags & IFF.LOOPBACK) === 0);
  return {
    netns: "/run/netns/fuzzed",
    netnsInode: 1,
    links: links.map((found) => ({
      link: found,
      addresses: addresses.filter(({ index }) => index === found.index),
      neighbors: neighbors.filter(({ index }) => index === found.index),
      sysctls: {},
    })),
    loopbackIndex: 1,
    routes: all(RTM.NEWROUTE, decodeRoute),
    rules: all(RTM.NEWRULE, decodeRule),
  };
}
