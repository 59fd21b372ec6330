// Needs root: works in a network namespace of its own.
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import type { Interface, Neighbor, Route } from "../../proto/gen/tapir/agent/v1/agent.ts";
import * as api from "../../proto/gen/tapir/agent/v1/agent.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { listLinks } from "../../sys/netlink/link.ts";
import { openRoute } from "../../sys/netlink/socket.ts";
import { applyNetwork } from "./apply.ts";
import { applyInterfaces, clearInterfaces, listInterfaces } from "./interface.ts";
import { addNeighbors, applyNeighbors, listNeighbors } from "./neighbor.ts";
import type { Network } from "./network.ts";
import { applyRoutes, listRoutes } from "./route.ts";

const soon = () => deadlineIn(10_000, "test");
const A = "02:00:00:00:00:0a";
const B = "02:00:00:00:00:0b";
let spaces = 0;

/** A namespace with NICs "wire0" (A) and "wire1" (B), down, each with its other end up. */
async function inGuest(
  work: (network: Network, ip: (line: string) => string) => Promise<void>,
): Promise<void> {
  const name = `tapir-agent-${process.pid}-${spaces++}`;
  const ip = (line: string): string =>
    execFileSync("ip", ["-n", name, ...line.split(" ")], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
  execFileSync("ip", ["netns", "add", name]);
  const netns = `/run/netns/${name}`;
  const socket = openRoute({ netns });
  try {
    ip("link set lo up");
    for (const [end, mac] of [
      ["0", A],
      ["1", B],
    ]) {
      ip(`link add wire${end} address ${mac} type veth peer name far${end}`);
      ip(`link set far${end} up`);
    }
    await work({ socket, netns }, ip);
  } finally {
    socket[Symbol.dispose]();
    execFileSync("ip", ["netns", "del", name]);
  }
}

function nic(name: string, mac: string, addresses: string[] = [], more: Partial<Interface> = {}): Interface {
  return api.Interface.create({
    name,
    mac,
    mtu: 1450,
    up: true,
    multicast: true,
    txQueueLength: 1000,
    addresses: addresses.map((text) => {
      const [address = "", prefix] = text.split("/");
      return { address, prefixLength: Number(prefix), scope: address.startsWith("fe80") ? 253 : 0 };
    }),
    ...more,
  });
}

function route(destination: string, more: Partial<Route> = {}): Route {
  const family = destination.includes(":") ? 6 : 4;
  return api.Route.create({ destination, family, device: "eth0", table: 254, protocol: 3, type: 1, ...more });
}

const addressesOf = (one: Interface | undefined): string[] =>
  (one?.addresses ?? []).map(({ address, prefixLength }) => `${address}/${prefixLength}`).sort();
const apply = (network: Network, wanted: Interface[], waitMs = 1000) =>
  applyInterfaces(network, wanted, deadlineIn(waitMs, "wait"), soon());
const find = async (network: Network, name: string) =>
  (await listInterfaces(network, soon())).find((one) => one.name === name);

test("an interface becomes exactly what is wanted, and stays it", async (t) => {
  await inGuest(async (network, ip) => {
    ip("addr add 192.0.2.1/24 dev wire0");
    const wanted = nic("eth0", A, ["10.0.0.5/24", "10.0.0.6/24", "fd00::5/64", "fe80::5/64"]);
    for (let round = 0; round < 2; round++) {
      await apply(network, [wanted]);
      const found = await find(network, "eth0");
      t.deepEqual(addressesOf(found), ["10.0.0.5/24", "10.0.0.6/24", "fd00::5/64", "fe80::5/64"]);
      t.is(found?.mtu, 1450);
      t.true(found?.up);
    }
    t.notRegex(ip("-6 addr show dev eth0"), /tentative|dadfailed/);
  });
});

test("addresses that are not wanted go, primary ones without their secondaries", async (t) => {
  await inGuest(async (network) => {
    await apply(network, [nic("eth0", A, ["10.0.0.5/24", "10.0.0.6/24", "fd00::5/64"])]);
    await apply(network, [nic("eth0", A, ["10.0.0.6/24", "10.0.1.7/32", "fd00::5/128"])]);
    t.deepEqual(addressesOf(await find(network, "eth0")), ["10.0.0.6/24", "10.0.1.7/32", "fd00::5/128"]);
  });
});

test("flags, queue length, peer, broadcast and label", async (t) => {
  await inGuest(async (network) => {
    const wanted = nic("eth0", A, [], {
      noArp: true,
      promiscuous: true,
      allMulticast: true,
      multicast: false,
      txQueueLength: 77,
      addresses: [
        {
          address: "10.0.0.5",
          prefixLength: 32,
          peer: "10.0.0.1",
          broadcast: "",
          scope: 253,
          flags: 0,
          label: "eth0:p",
          routeMetric: 0,
        },
        {
          address: "10.1.0.5",
          prefixLength: 24,
          peer: "",
          broadcast: "10.1.0.255",
          scope: 0,
          flags: 0x200,
          label: "eth0",
          routeMetric: 0,
        },
      ],
    });
    await apply(network, [wanted]);
    const found = await find(network, "eth0");
    t.deepEqual(found && { ...found, sysctls: {} }, wanted, "a namespace's own settings are not a guest's");
    t.deepEqual(
      (await listRoutes(network, soon()))
        .map(({ destination }) => destination)
        .filter((d) => d.startsWith("10.1")),
      [],
    );
    const plain = nic("eth0", A, [], { up: false });
    await apply(network, [plain]);
    const bare = await find(network, "eth0");
    t.deepEqual(bare && { ...bare, sysctls: {} }, plain);
  });
});

test("names are swapped, and a stranger on a wanted name steps aside", async (t) => {
  await inGuest(async (network, ip) => {
    const long = ["abcdefghijklmno", "onmlkjihgfedcba"] as const;
    await apply(network, [nic(long[0], A, ["10.0.0.1/24"]), nic(long[1], B)]);
    await apply(network, [nic(long[1], A, ["10.0.0.1/24"]), nic(long[0], B)]);
    t.is((await find(network, long[1]))?.mac, A);
    t.is((await find(network, long[0]))?.mac, B);
    await apply(network, [nic("far0", A, ["10.0.0.1/24"])]);
    t.is((await find(network, "far0"))?.mac, A);
    t.regex(ip("link"), /tapir\d+@/);
  });
});

test("a NIC that comes late is waited for; one that does not come is named", async (t) => {
  await inGuest(async (network, ip) => {
    const mac = "02:00:00:00:00:0c";
    const applied = apply(network, [nic("eth7", mac, ["10.0.0.1/24"])], 60_000);
    await sleep(100);
    ip(`link add late address ${mac} type veth peer name far2`);
    await applied;
    t.deepEqual(addressesOf(await find(network, "eth7")), ["10.0.0.1/24"]);
    const error = await t.throwsAsync(apply(network, [nic("eth8", "02:00:00:00:00:0d")], 50));
    t.regex(error.message, /^cannot find network interface with MAC 02:00:00:00:00:0d: it did not appear/);
    t.like(error, { code: 4 });
  });
});

test("what the kernel refuses says operation, object and errno", async (t) => {
  await inGuest(async (network) => {
    await apply(network, [nic("eth0", A, ["10.0.0.5/24"])]);
    const multicast = await t.throwsAsync(apply(network, [nic("eth0", A, ["ff02::77/64"])]));
    t.like(multicast, { operation: "add", object: "address ff02::77/64 dev eth0", errno: "EADDRNOTAVAIL" });
    const noWay = await t.throwsAsync(
      applyRoutes(network, [route("10.9.0.0/16", { gateway: "10.200.0.1" })], soon()),
    );
    t.like(noWay, {
      operation: "add",
      object: "route 10.9.0.0/16 via 10.200.0.1 dev eth0",
      errno: "ENETUNREACH",
    });
    const noLink = await t.throwsAsync(
      applyRoutes(network, [route("10.9.0.0/16", { device: "nope" })], soon()),
    );
    t.like(noLink, { object: "network interface nope", errno: "ENODEV" });
  });
});

test("a default route through a link-local gateway with a permanent neighbour, in any order", async (t) => {
  await inGuest(async (network) => {
    await apply(network, [nic("eth0", A, ["10.0.0.5/32", "fd00::5/128"])]);
    const gateways: Neighbor[] = [
      { device: "eth0", address: "169.254.1.1", mac: "ee:ee:ee:ee:ee:ee", state: 0x80, flags: 0 },
      { device: "eth0", address: "fe80::1", mac: "ee:ee:ee:ee:ee:ee", state: 0x80, flags: 0 },
    ];
    await applyNeighbors(network, gateways, soon());
    const routes = [
      route("0.0.0.0/0", { gateway: "169.254.1.1" }),
      route("::/0", { gateway: "fe80::1" }),
      route("169.254.1.1/32", { scope: 253 }),
      route("10.77.0.0/16", { gateway: "10.66.0.1", onLink: true, mtu: 1300, metric: 50 }),
      route("fe80::1/128"),
    ];
    for (let round = 0; round < 2; round++) {
      await applyRoutes(network, routes, soon());
      const own = (await listRoutes(network, soon())).filter(({ protocol }) => protocol === 3);
      const destinations = (all: Route[]): string[] => all.map(({ destination }) => destination).sort();
      t.deepEqual(destinations(own), destinations(routes));
      t.like(
        own.find((one) => one.destination === "10.77.0.0/16"),
        { mtu: 1300, metric: 50, onLink: true },
      );
    }
    const neighbors = await listNeighbors(network, soon());
    t.deepEqual(
      neighbors.filter(({ state }) => state === 0x80),
      gateways,
    );
  });
});

test("routes: changed, several hops, discarding, gone", async (t) => {
  await inGuest(async (network) => {
    await apply(network, [nic("eth0", A, ["10.0.0.5/24", "fd00::5/64"])]);
    const hops = ["10.0.0.1", "10.0.0.2"].map((gateway, at) => ({
      gateway,
      device: "eth0",
      weight: at + 1,
      onLink: false,
    }));
    const rounds: Route[][] = [
      [route("10.5.0.0/16", { gateway: "10.0.0.1" }), route("::/0", { gateway: "fd00::1" })],
      [
        route("10.5.0.0/16", { gateway: "10.0.0.2", source: "10.0.0.5" }),
        route("::/0", { gateway: "fd00::2" }),
      ],
      [route("10.5.0.0/16", { device: "", nextHops: hops }), route("10.6.0.0/16", { device: "", type: 6 })],
      [route("fd01::/64", { device: "", type: 7 }), route("10.5.0.0/16", { table: 100 })],
      [],
    ];
    for (const wanted of rounds) {
      await applyRoutes(network, wanted, soon());
      const own = (await listRoutes(network, soon())).filter(({ protocol }) => protocol === 3);
      const expected = wanted.map((one) =>
        one.family === 6 ? { ...one, metric: 1024, preference: 1 } : one,
      );
      t.deepEqual(
        own.sort((a, b) => a.destination.localeCompare(b.destination)),
        expected.sort((a, b) => a.destination.localeCompare(b.destination)),
      );
    }
    const left = (await listRoutes(network, soon())).map(
      ({ destination, protocol }) => `${destination} ${protocol}`,
    );
    t.true(left.includes("10.0.0.0/24 2"));
    t.false(left.some((line) => line.startsWith("ff00")));
  });
});

test("neighbours: added, replaced, and only the declarative way takes some away", async (t) => {
  await inGuest(async (network) => {
    await apply(network, [nic("eth0", A, ["10.0.0.5/24"])]);
    const entry = (address: string, mac: string): Neighbor => ({
      device: "eth0",
      address,
      mac,
      state: 0,
      flags: 0,
    });
    await addNeighbors(network, [entry("10.0.0.1", "02:00:00:00:00:01")], soon());
    await addNeighbors(
      network,
      [entry("10.0.0.2", "02:00:00:00:00:02"), entry("10.0.0.1", "02:00:00:00:00:03")],
      soon(),
    );
    const table = async (): Promise<string[]> =>
      (await listNeighbors(network, soon()))
        .filter(({ state }) => state === 0x80)
        .map(({ address, mac }) => `${address} ${mac}`)
        .sort();
    t.deepEqual(await table(), ["10.0.0.1 02:00:00:00:00:03", "10.0.0.2 02:00:00:00:00:02"]);
    await applyNeighbors(network, [entry("10.0.0.2", "02:00:00:00:00:02")], soon());
    t.deepEqual(await table(), ["10.0.0.2 02:00:00:00:00:02"]);
  });
});

test("what the guest has is read once, and what nobody knows anything of, not at all", async (t) => {
  await inGuest(async ({ socket, netns }) => {
    const read: string[] = [];
    const counting: Network = {
      ...(netns === undefined ? {} : { netns }),
      socket: {
        ...socket,
        dump(request, deadline) {
          read.push(String(request.object));
          return socket.dump(request, deadline);
        },
      },
    };
    const wanted = {
      interfaces: [nic("eth0", A, ["10.0.0.5/24", "fd00::5/64"])],
      routes: [route("0.0.0.0/0", { gateway: "10.0.0.1" })],
      ...{ rules: [], neighbors: [] },
    };
    await applyNetwork(counting, wanted, soon(), soon(), "blank");
    t.deepEqual(read.splice(0), ["links"]);
    // Of the NIC that nobody wants the addresses are looked for apart.
    await applyNetwork(counting, wanted, soon(), soon());
    t.deepEqual(read.sort(), ["addresses", "addresses", "links", "neighbours", "routes", "rules"]);
  });
});

test("on blank ground a wanted route takes the place of the one that the kernel makes with an address", async (t) => {
  await inGuest(async (network) => {
    const interfaces = [nic("eth0", A, ["10.0.0.5/24", "fd00::5/64"])];
    const routes = [route("10.0.0.0/24", { device: "eth0", scope: 253, source: "10.0.0.5", mtu: 1300 })];
    const wanted = { interfaces, routes, rules: [], neighbors: [] };
    await applyNetwork(network, wanted, soon(), soon(), "blank");
    const found = (await listRoutes(network, soon())).filter(
      ({ destination }) => destination === "10.0.0.0/24",
    );
    t.deepEqual(
      found.map(({ mtu }) => mtu),
      [1300],
    );
  });
});

test("clearing takes addresses, routes and neighbours away", async (t) => {
  await inGuest(async (network) => {
    await apply(network, [nic("eth0", A, ["10.0.0.5/24", "fd00::5/64"]), nic("eth1", B, ["10.1.0.5/24"])]);
    await applyRoutes(network, [route("0.0.0.0/0", { gateway: "10.0.0.1" })], soon());
    await clearInterfaces(network, await listLinks(network.socket, soon()), ({ mac }) => mac === A, soon());
    t.like(await find(network, "eth0"), { up: false, addresses: [] });
    t.deepEqual(addressesOf(await find(network, "eth1")), ["10.1.0.5/24"]);
    const left = (await listRoutes(network, soon())).filter(({ device }) => device === "eth0");
    t.deepEqual(left, []);
  });
});
