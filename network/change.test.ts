// Needs root: works in a network namespace of its own; one link comes from the machine's and goes back there.
import { execFileSync } from "node:child_process";
import test, { type ExecutionContext } from "ava";
import { deadlineIn } from "../sys/deadline.ts";
import { codeOf, reasonOf } from "../sys/error.ts";
import { findLink } from "../sys/netlink/link.ts";
import { openRoute } from "../sys/netlink/socket.ts";
import { Code } from "../sys/status.ts";
import { addLink, changeLink, removeLink } from "./change-link.ts";
import { changeNeighbors, changeRoutes } from "./change-route.ts";
import type { GuestRoute } from "./guest-network.ts";
import { putBackAddresses, putBackNeighbors, putBackRoutes } from "./put-back.ts";
import { readLinkState } from "./restore-link.ts";

const soon = () => deadlineIn(20_000, "test changes");
const wish = { device: "", name: "", mac: "", mtu: 0, addresses: [] };

interface Space {
  readonly name: string;
  readonly netns: string;
  ip(line: string): string;
  /** Links, addresses, routes and permanent neighbours, as `ip` says. */
  view(): string[];
}

let spaces = 0;
/** A namespace with eth0 (10.1.0.2/24, fd00:1::2/64) and net1 (10.2.0.2/24, fd00:2::2/64), and routes over both. */
function space(t: ExecutionContext): Space {
  const name = `tapir-change-${process.pid}-${spaces++}`;
  const ip = (line: string): string =>
    execFileSync("ip", ["-n", name, ...line.split(" ")], { encoding: "utf8" });
  execFileSync("ip", ["netns", "add", name]);
  t.teardown(() => execFileSync("ip", ["netns", "del", name]));
  for (const [at, link] of ["eth0", "net1"].entries()) {
    const net = at + 1;
    ip(`link add ${link} address 02:00:00:00:00:0${net} type veth peer name far${net}`);
    for (const one of [link, `far${net}`]) ip(`link set ${one} addrgenmode none up`);
    ip(`addr add 10.${net}.0.2/24 dev ${link}`);
    ip(`addr add fd00:${net}::2/64 dev ${link} nodad`);
  }
  for (const line of [
    "default via 10.1.0.1",
    "198.51.100.0/24 via 10.1.0.1 table 100 mtu 1300",
    "203.0.113.0/24 nexthop via 10.1.0.1 weight 2 nexthop via 10.2.0.1",
    "192.0.2.0/24 dev eth0 src 10.1.0.2",
    "default via fd00:1::1 metric 7",
    "2001:db8::/32 nexthop via fd00:1::1 nexthop via fd00:2::1",
  ])
    ip(`route add ${line}`);
  ip("route add blackhole 198.18.0.0/15");
  ip("neigh add 10.1.0.9 lladdr 02:00:00:00:00:99 dev eth0 nud permanent");
  const lines = (what: string): string[] =>
    ip(what)
      .trim()
      .split("\n")
      .map((line) => line.trim());
  const view = (): string[] =>
    [
      "-o link",
      "-4 addr",
      "-6 addr",
      "-4 route show table all",
      "-6 route show table all",
      "neigh show nud permanent",
    ].flatMap((what) =>
      lines(what)
        .filter((line) => !/table local|^ff00/.test(line))
        .toSorted(),
    );
  return { name, netns: `/run/netns/${name}`, ip, view };
}

const route: GuestRoute = {
  ...{ destination: "", family: 4, gateway: "10.1.0.1", device: "eth0", source: "", scope: 0, metric: 0 },
  ...{
    table: 254,
    protocol: 3,
    type: 1,
    onLink: false,
    mtu: 0,
    metrics: {},
    nextHops: [],
    preference: 0,
    tos: 0,
  },
};

test("what a link lost while it was down comes back: addresses and routes, several next hops", async (t) => {
  const { netns, ip, view } = space(t);
  const before = view();
  using socket = openRoute({ netns });
  const link = await findLink(socket, { name: "eth0" }, soon());
  if (link === undefined) return t.fail();
  const state = await readLinkState(socket, link, soon());
  ip("link set eth0 down");
  ip("link set eth0 up");
  t.notDeepEqual(view(), before);
  for (const _ of [1, 2]) {
    await putBackAddresses(socket, state.addresses, soon());
    await putBackNeighbors(socket, state.neighbors, soon());
    await putBackRoutes(socket, state.routes, soon());
    t.deepEqual(view(), before);
  }
});

test("a new address takes only those routes away that it cannot carry", async (t) => {
  const { netns, ip, view } = space(t);
  const addresses = [
    { address: "10.1.0.3", prefixLength: 24 },
    { address: "fd00:1::2", prefixLength: 64 },
  ];
  const before = view();
  await changeLink(netns, { ...wish, name: "eth0", addresses }, soon());
  const wanted = before
    .filter((line) => !line.startsWith("192.0.2.0/24"))
    .map((line) => line.replaceAll(/10\.1\.0\.2(?!\d)/g, "10.1.0.3"));
  t.deepEqual(view(), wanted);
  await changeLink(
    netns,
    { ...wish, name: "eth0", addresses: [{ address: "172.16.0.2", prefixLength: 24 }] },
    soon(),
  );
  t.notRegex(ip("route show table all"), /^(default|198\.51\.100\.0\/24) via 10/m);
});

test("a change that fails is taken back, also when the caller asks for it", async (t) => {
  const { netns, view } = space(t);
  const before = view();
  const bad = [{ address: "10.1.0.9", prefixLength: 240 }];
  await t.throwsAsync(changeLink(netns, { ...wish, device: "eth0", name: "other", addresses: bad }, soon()));
  t.deepEqual(view(), before);
  const addresses = [{ address: "10.7.0.9", prefixLength: 24 }];
  const all = { ...wish, device: "eth0", name: "other", mac: "02:00:00:00:00:77", mtu: 1300, addresses };
  const { takeBack } = await changeLink(netns, all, soon());
  t.notDeepEqual(view(), before);
  await takeBack();
  t.deepEqual(view(), before);
  await removeLink(netns, { ...wish, name: "eth0" }, soon());
  t.notRegex(view().join("\n"), /10\.1\.0\.2/);
});

test("a link of the node's that cannot be changed goes back with its addresses", async (t) => {
  const { netns, name, ip } = space(t);
  const link = `tm${process.pid}`;
  const own = (line: string): string => execFileSync("ip", line.split(" "), { encoding: "utf8" });
  ip(`link add peer7 type veth peer name ${link} netns ${process.pid}`);
  t.teardown(() => own(`link del ${link}`));
  own(`addr add 169.254.77.7/32 dev ${link}`);
  const error = await t.throwsAsync(addLink(netns, { ...wish, name: link, mtu: 100_000 }, soon()));
  t.regex(reasonOf(error), new RegExp(`change link ${link}`));
  t.regex(own(`addr show ${link}`), /169\.254\.77\.7/);
  const { takeBack } = await addLink(netns, { ...wish, device: link, name: "net7" }, soon());
  t.regex(ip("link"), / net7@/);
  await takeBack();
  t.regex(own(`addr show ${link}`), /169\.254\.77\.7/);
  t.notRegex(ip("link"), / net7@/, name);
});

test("a link is found by its name, by the MAC where none is said", async (t) => {
  const { netns, view } = space(t);
  const before = view();
  const mac = "02:00:00:00:00:01";
  const find = (error: unknown): unknown => [codeOf(error), /find link (\S+):/.exec(reasonOf(error))?.[1]];
  for (const names of [{ device: "veth7" }, { device: "veth7", name: "net9" }]) {
    const said = { ...wish, mac, ...names };
    t.deepEqual(find(await t.throwsAsync(addLink(netns, said, soon()))), [Code.NOT_FOUND, "veth7"]);
    t.deepEqual(find(await t.throwsAsync(changeLink(netns, said, soon()))), [Code.NOT_FOUND, "veth7"]);
  }
  const unknown = { ...wish, mac: "02:00:00:00:00:ff" };
  t.deepEqual(find(await t.throwsAsync(addLink(netns, unknown, soon()))), [Code.NOT_FOUND, unknown.mac]);
  t.deepEqual(view(), before);
  await changeLink(netns, { ...wish, mac, name: "renamed" }, soon());
  t.regex(view().join("\n"), / renamed@/);
});

test("routes: only what differs is touched; what fails is taken back", async (t) => {
  const { netns, ip, view } = space(t);
  const before = view();
  const present = [
    { ...route, destination: "0.0.0.0/0" },
    { ...route, destination: "192.0.2.0/24", gateway: "", source: "10.1.0.2", scope: 253 },
    { ...route, destination: "198.18.0.0/15", gateway: "", device: "", type: 6 },
    { ...route, destination: "::/0", family: 6, gateway: "fd00:1:0::1", metric: 7 },
  ];
  const bad = [...present, { ...route, destination: "10.77.0.0/16", gateway: "10.66.0.1" }];
  const error = await t.throwsAsync(changeRoutes(netns, bad, soon()));
  t.regex(reasonOf(error), /add route 10\.77\.0\.0\/16/);
  t.deepEqual(view(), before);
  const hops = (gateways: readonly string[]) =>
    gateways.map((gateway, at) => ({
      gateway,
      device: at === 0 ? "eth0" : "net1",
      weight: 2 - at,
      onLink: false,
    }));
  const several = { ...route, gateway: "", device: "" };
  const all = [
    ...present,
    { ...several, destination: "203.0.113.0/24", nextHops: hops(["10.1.0.1", "10.2.0.1"]) },
    {
      ...{ ...several, family: 6, destination: "2001:db8::/32" },
      nextHops: hops(["fd00:1::1", "fd00:2::1"]).map((hop) => ({ ...hop, weight: 1 })),
    },
  ];
  await changeRoutes(netns, all, soon());
  t.deepEqual(view(), before, "the same as it was");
  await changeRoutes(netns, all.slice(0, 1), soon());
  t.is(ip("-6 route show default"), "");
  t.regex(ip("route show table 100"), /198\.51\.100\.0/, "another table");
});

test("neighbours: what fails is taken back", async (t) => {
  const { netns, view } = space(t);
  const before = view();
  const entry = { device: "eth0", address: "10.1.0.9", mac: "02:00:00:00:00:11", state: 0, flags: 0 };
  const bad = [entry, { ...entry, address: "10.1.0.10" }, { ...entry, address: "10.1.0.11", mac: "02:00" }];
  await t.throwsAsync(changeNeighbors(netns, bad, soon()));
  t.deepEqual(view(), before);
  await changeNeighbors(netns, [entry], soon());
  t.regex(view().join("\n"), /10\.1\.0\.9 dev eth0 lladdr 02:00:00:00:00:11/);
});
