import type { InterfaceCounters } from "../../proto/gen/tapir/agent/v1/agent.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { listCountedLinks } from "../../sys/netlink/link.ts";
import { IFF } from "../../sys/netlink/records.ts";
import { isNic } from "./interface.ts";
import type { Network } from "./network.ts";

/** What every NIC of the guest counted since it came. */
export async function listCounters(network: Network, deadline: Deadline): Promise<InterfaceCounters[]> {
  const counted = await listCountedLinks(network.socket, deadline);
  return counted
    .filter(({ link }) => isNic(link))
    .map(({ link: { name, flags }, counters }) => ({
      name,
      up: (flags & IFF.UP) !== 0,
      carrier: (flags & IFF.RUNNING) !== 0,
      receivedPackets: BigInt(counters.receivedPackets),
      receivedDropped: BigInt(counters.receivedDropped),
      sentPackets: BigInt(counters.sentPackets),
      sentDropped: BigInt(counters.sentDropped),
    }));
}
