import { decodeAddress, encodeAddress } from "../../../sys/netlink/address.ts";
import { attribute, attributeNest, attributeText, attributeU32 } from "../../../sys/netlink/attribute.ts";
import { decodeLink } from "../../../sys/netlink/link.ts";
import { decodeMessages, encodeMessage, RTM } from "../../../sys/netlink/message.ts";
import { decodeNeighbor, encodeNeighbor } from "../../../sys/netlink/neighbor.ts";
import { decodeRoute, encodeRoute } from "../../../sys/netlink/route-codec.ts";
import { decodeRule } from "../../../sys/netlink/rule.ts";
import { decodeRedirect, encodeRedirect } from "../../../sys/netlink/u32.ts";
import type { Target } from "../fuzz.ts";

const decoders = [decodeLink, decodeAddress, decodeRoute, decodeNeighbor, decodeRule, decodeRedirect];

export const link = Buffer.concat([
  Buffer.from([0, 0, 1, 0, 2, 0, 0, 0, 0x43, 0x10, 0, 0, 0, 0, 0, 0]),
  attributeText(3, "eth0"),
  attributeU32(4, 1500),
  attribute(1, Buffer.from("0242ac110002", "hex")),
  attributeNest(18, attributeText(1, "veth")),
  attributeU32(5, 7),
]);
export const address = encodeAddress({
  index: 2,
  family: 4,
  address: "10.0.0.2",
  prefixLength: 24,
  peer: undefined,
  broadcast: "10.0.0.255",
  scope: 0,
  flags: 0x80,
  label: "eth0",
  routeMetric: 0,
});
export const route = encodeRoute({
  family: 6,
  destination: "::/0",
  gateway: "fe80::1",
  index: 2,
  source: undefined,
  scope: 0,
  metric: 7,
  table: 254,
  protocol: 3,
  type: 1,
  onLink: true,
  metrics: { 2: 1400 },
  nextHops: [
    { gateway: "fe80::1", index: 2, weight: 2, onLink: true, dead: false },
    { gateway: undefined, index: 3, weight: 1, onLink: false, dead: false },
  ],
  preference: 0,
  tos: 0,
});
export const neighbor = encodeNeighbor({
  index: 2,
  family: 4,
  address: "10.0.0.1",
  mac: "02:00:00:00:00:01",
  state: 0x80,
  flags: 0,
});
export const rule = Buffer.concat([
  Buffer.from([2, 24, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0]),
  attribute(2, Buffer.from([10, 0, 0, 0])),
]);

const payloads = [link, address, route, neighbor, rule, encodeRedirect(0, 7)];
const datagram = Buffer.concat(
  payloads.map((payload) => encodeMessage({ type: RTM.NEWLINK, flags: 2, sequence: 1, port: 0, payload })),
);

const dumps: Target = {
  name: "netlink dumps",
  seeds: [
    datagram,
    ...payloads.map((payload) => encodeMessage({ type: 16, flags: 2, sequence: 1, port: 0, payload })),
  ],
  words: [],
  run(input) {
    for (const { payload } of decodeMessages(input)) decodeWithAll(payload);
  },
};

const records: Target = { name: "netlink records", seeds: payloads, words: [], run: decodeWithAll };

/** Each decoder has to take what is meant for another. */
function decodeWithAll(payload: Buffer): void {
  const refusals: unknown[] = [];
  for (const decode of decoders) {
    try {
      decode(payload);
    } catch (error) {
      if (!(error instanceof Error && "operation" in error)) throw error;
      refusals.push(error);
    }
  }
  if (refusals.length === decoders.length) throw refusals[0];
}

export const netlinkTargets: readonly Target[] = [dumps, records];
