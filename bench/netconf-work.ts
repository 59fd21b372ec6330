import { closeSync, openSync } from "node:fs";
import { applyNetwork, type WantedNetwork } from "../agent/network/apply.ts";
import type { Network } from "../agent/network/network.ts";
import { Interface, InterfaceAddress, Route } from "../proto/gen/tapir/agent/v1/agent.ts";
import { type Deadline, deadlineIn } from "../sys/deadline.ts";
import { replaceAddress } from "../sys/netlink/address.ts";
import { listLinks, setLink } from "../sys/netlink/link.ts";
import { RTM } from "../sys/netlink/message.ts";
import { IFA_F, IFF, type Link, RT_TABLE, RTN, RTPROT } from "../sys/netlink/records.ts";
import { addRoute } from "../sys/netlink/route.ts";
import { openRoute } from "../sys/netlink/socket.ts";
import { makeScratchNetns } from "../sys/netns.ts";

/** How much is configured at once. */
export interface Size {
  readonly nics: number;
  /** Of the first NIC; each further one has one. */
  readonly routes: number;
}

export const SIZES: readonly Size[] = [
  { nics: 1, routes: 1 },
  { nics: 1, routes: 10 },
  { nics: 1, routes: 100 },
  { nics: 4, routes: 1 },
  { nics: 8, routes: 1 },
];

/** Milliseconds of each round, by the agent and by the same netlink calls alone. */
export interface Times {
  readonly size: Size;
  /** By the agent in a guest that is nobody's yet, as at a pod's start: nothing is compared. */
  readonly blankMs: number[];
  readonly agentMs: number[];
  readonly bareMs: number[];
  /** Before them each table read whole, and nothing done with it: nobody who may find something there can do without. */
  readonly readBareMs: number[];
}

const ETHERNET = 1;
const NOTHING: WantedNetwork = { interfaces: [], routes: [], rules: [], neighbors: [] };

/** Configures the first NICs of a namespace again and again, in turns: by the agent's code, and by bare calls. */
export async function measureConfiguring(network: Network, rounds: number): Promise<Times[]> {
  const deadline = deadlineIn(600_000, "measure configuring");
  const links = (await listLinks(network.socket, deadline)).filter(
    ({ type, flags }) => type === ETHERNET && (flags & IFF.LOOPBACK) === 0,
  );
  const all: Times[] = [];
  for (const size of SIZES) {
    const nics = links.slice(0, size.nics);
    // A pod's guest has no others.
    await using _others = await putAway(network, links.slice(size.nics), deadline);
    const wanted = wantedOf(nics, size);
    const times: Times = { size, blankMs: [], agentMs: [], bareMs: [], readBareMs: [] };
    const clear = () => applyNetwork(network, NOTHING, deadline, deadline);
    // What runs first is compiled first.
    for (let round = -1; round < rounds; round += 1) {
      await clear();
      const agent = await timed(() => applyNetwork(network, wanted, deadline, deadline));
      await clear();
      const blank = await timed(() => applyNetwork(network, wanted, deadline, deadline, "blank"));
      await clear();
      const bare = await timed(() => bareCalls(network, nics, size, deadline));
      await clear();
      const readBare = await timed(async () => {
        for (const [type, bytes] of TABLES) await readTable(network, type, bytes, deadline);
        await bareCalls(network, nics, size, deadline);
      });
      if (round < 0) continue;
      times.blankMs.push(blank);
      times.agentMs.push(agent);
      times.bareMs.push(bare);
      times.readBareMs.push(readBare);
    }
    await clear();
    all.push(times);
  }
  return all;
}

/** Takes links out of the namespace, until it is disposed. */
async function putAway(
  { socket, netns }: Network,
  links: readonly Link[],
  deadline: Deadline,
): Promise<AsyncDisposable> {
  const away = makeScratchNetns();
  const awayFd = Number(away.path.split("/").at(-1));
  for (const link of links) await setLink(socket, link, { netnsFd: awayFd }, deadline);
  return {
    async [Symbol.asyncDispose]() {
      const home = openSync(netns ?? "/proc/thread-self/ns/net", "r");
      using there = openRoute({ netns: away.path });
      for (const link of links) await setLink(there, link, { netnsFd: home }, deadline);
      closeSync(home);
      away[Symbol.dispose]();
    },
  };
}

async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

const MTU = 1400;
const routesOf = ({ routes }: Size, at: number): number => (at === 0 ? routes : 1);
const destination = (at: number, route: number): string => `10.${100 + at}.${route}.0/24`;

/** The wanted network as the shim would send it. */
export function wantedOf(nics: readonly Pick<Link, "name" | "mac">[], size: Size): WantedNetwork {
  const address = (text: string, prefixLength: number) =>
    InterfaceAddress.create({ address: text, prefixLength });
  return {
    ...NOTHING,
    interfaces: nics.map(({ name, mac }, at) =>
      Interface.create({
        ...{ name, mac, mtu: MTU, up: true, multicast: true, txQueueLength: 1000 },
        addresses: [address(`10.${at}.0.2`, 24), address(`fd00:${at}::2`, 64)],
      }),
    ),
    routes: nics.flatMap(({ name }, at) =>
      Array.from({ length: routesOf(size, at) }, (_, route) =>
        Route.create({
          ...{ destination: destination(at, route), family: 4, gateway: `10.${at}.0.1`, device: name },
          ...{ table: RT_TABLE.MAIN, protocol: RTPROT.STATIC, type: RTN.UNICAST },
        }),
      ),
    ),
  };
}

/** Requests for whole tables, with the bytes of their headers (linux/rtnetlink.h, if_addr.h, neighbour.h, fib_rules.h). */
const TABLES: readonly (readonly [type: number, bytes: number])[] = [
  [RTM.GETLINK, 16],
  [RTM.GETADDR, 8],
  [RTM.GETNEIGH, 12],
  [RTM.GETRULE, 12],
  [RTM.GETROUTE, 12],
];

async function readTable(
  { socket }: Network,
  type: number,
  headerBytes: number,
  deadline: Deadline,
): Promise<void> {
  const payload = Buffer.alloc(headerBytes);
  await socket.dump({ type, payload, operation: "read", object: `table ${type}` }, deadline);
}

/** One call after another, each waited for, nothing looked at before. */
async function bareCalls(
  { socket }: Network,
  nics: readonly Link[],
  size: Size,
  deadline: Deadline,
): Promise<void> {
  for (const [at, nic] of nics.entries()) {
    await setLink(socket, nic, { addressGeneration: "none" }, deadline);
    await setLink(socket, nic, { mtu: MTU }, deadline);
    await setLink(socket, nic, { txQueueLength: 1000, up: true }, deadline);
    const common = { index: nic.index, scope: 0, routeMetric: 0 };
    const none = { peer: undefined, broadcast: undefined, label: undefined };
    const four = { family: 4, address: `10.${at}.0.2`, prefixLength: 24, flags: 0 } as const;
    const six = { family: 6, address: `fd00:${at}::2`, prefixLength: 64, flags: IFA_F.NODAD } as const;
    for (const one of [four, six]) await replaceAddress(socket, { ...common, ...none, ...one }, deadline);
  }
  for (const [at, { index }] of nics.entries()) {
    for (let route = 0; route < routesOf(size, at); route += 1) {
      await addRoute(
        socket,
        {
          ...{ family: 4, destination: destination(at, route), gateway: `10.${at}.0.1`, index },
          ...{ source: undefined, scope: 0, metric: 0, table: RT_TABLE.MAIN, protocol: RTPROT.STATIC },
          ...{ type: RTN.UNICAST, onLink: false, metrics: {}, nextHops: [], preference: undefined, tos: 0 },
        },
        deadline,
      );
    }
  }
}
