// Needs root: makes and removes a network namespace.
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import test from "ava";
import { deadlineIn } from "../deadline.ts";
import { TapirError } from "../error.ts";
import { Code } from "../status.ts";
import { deleteAddress, listAddresses, replaceAddress } from "./address.ts";
import { openEvents, RTNLGRP } from "./events.ts";
import { deleteLink, findLink, listLinks, setLink } from "./link.ts";
import { deleteNeighbor, listNeighbors, replaceNeighbor } from "./neighbor.ts";
import { type Address, IFA_F, IFF, type Link, NUD, type Route, RT_SCOPE } from "./records.ts";
import { addRoute, deleteRoute, listRoutes, replaceRoute } from "./route.ts";
import { openRoute, type RouteSocket } from "./socket.ts";
import { waitForLink } from "./wait-link.ts";

const name = `tapir-netlink-${process.pid}`;
const netns = `/run/netns/${name}`;
const soon = () => deadlineIn(60_000, "test netlink");
const ip = (...words: string[]): string => execFileSync("ip", ["-n", name, ...words], { encoding: "utf8" });

let socket: RouteSocket;
let eth0: Link;

test.before(async () => {
  execFileSync("ip", ["netns", "add", name]);
  ip("link", "add", "eth0", "type", "veth", "peer", "name", "peer0");
  ip("link", "set", "eth0", "up");
  ip("link", "set", "peer0", "up");
  socket = openRoute({ netns });
  const link = await findLink(socket, { name: "eth0" }, soon());
  if (link === undefined) throw new Error("no eth0");
  eth0 = link;
});
test.after.always(() => {
  socket?.[Symbol.dispose]();
  execFileSync("ip", ["netns", "del", name]);
});

const address = (text: string, more: Partial<Address> = {}): Address => ({
  index: eth0.index,
  family: text.includes(":") ? 6 : 4,
  address: text,
  prefixLength: text.includes(":") ? 64 : 24,
  peer: undefined,
  broadcast: undefined,
  scope: 0,
  flags: 0,
  label: undefined,
  routeMetric: 0,
  ...more,
});

const route = (destination: string, more: Partial<Route> = {}): Route => ({
  family: destination.includes(":") ? 6 : 4,
  destination,
  gateway: undefined,
  index: eth0.index,
  source: undefined,
  scope: 0,
  metric: 0,
  table: 254,
  protocol: 3,
  type: 1,
  onLink: false,
  metrics: {},
  nextHops: [],
  preference: undefined,
  tos: 0,
  ...more,
});

test.serial("links: listed by index, changed, found again", async (t) => {
  const links = await listLinks(socket, soon());
  t.deepEqual(
    links.map((link) => link.name),
    ["lo", "peer0", "eth0"],
  );
  t.is(links[2]?.kind, "veth");
  t.is(links[0]?.kind, undefined);
  const change = { mtu: 1400, mac: "02:00:00:00:00:07", txQueueLength: 77, alias: "pod nic" };
  await setLink(socket, eth0, { ...change, flags: { value: IFF.PROMISC, mask: IFF.PROMISC } }, soon());
  const changed = await findLink(socket, { index: eth0.index }, soon());
  t.like(changed, change);
  t.not((changed?.flags ?? 0) & IFF.PROMISC, 0);
  t.not((changed?.flags ?? 0) & IFF.UP, 0);
  t.is(await findLink(socket, { name: "none-such" }, soon()), undefined);
  t.is(await findLink(socket, { index: 4711 }, soon()), undefined);
});

test.serial("addresses: added, replaced, deleted, both families", async (t) => {
  const wanted = [
    address("10.1.2.3", { broadcast: "10.1.2.255", label: "eth0" }),
    address("10.1.3.3", { prefixLength: 32, peer: "10.1.3.9", scope: RT_SCOPE.LINK, label: "eth0" }),
    address("2001:db8::2", { flags: IFA_F.NODAD }),
    address("fd00::2", { flags: IFA_F.NODAD | IFA_F.NOPREFIXROUTE }),
  ];
  for (const one of wanted) await replaceAddress(socket, one, soon());
  for (const one of wanted) await replaceAddress(socket, one, soon());
  const mine = (await listAddresses(socket, soon())).filter(
    ({ index, scope, family }) => index === eth0.index && !(family === 6 && scope === RT_SCOPE.LINK),
  );
  const byText = (a: Address, b: Address): number => a.address.localeCompare(b.address);
  t.deepEqual(
    mine.sort(byText),
    wanted.map((one) => ({ ...one, flags: one.flags | IFA_F.PERMANENT })).sort(byText),
  );
  await deleteAddress(socket, address("fd00::2"), soon());
  const gone = await t.throwsAsync(deleteAddress(socket, address("fd00::2"), soon()), {
    instanceOf: TapirError,
  });
  t.regex(gone.message, /^cannot delete address fd00::2\/64 dev eth0: EADDRNOTAVAIL/);
});

test.serial("routes: every attribute comes back as it went", async (t) => {
  const hop = { index: eth0.index, onLink: false };
  const wanted = [
    route("10.9.0.0/16", { scope: RT_SCOPE.LINK, source: "10.1.2.3", metrics: { 2: 1300, 8: 1260 } }),
    route("0.0.0.0/0", { gateway: "10.1.2.1", metric: 5 }),
    route("192.0.2.0/24", { gateway: "169.254.1.1", onLink: true, table: 4000, protocol: 4 }),
    route("198.51.100.0/24", {
      index: 0,
      nextHops: [
        { ...hop, gateway: "10.1.2.5", weight: 3, dead: false },
        { ...hop, gateway: "10.1.2.6", weight: 1, dead: false },
      ],
    }),
    route("203.0.113.0/24", { gateway: "2001:db8::1" }),
    route("10.8.0.0/16", { type: 6, index: 0 }),
    route("10.8.1.0/24", { type: 7, index: 0 }),
    route("10.8.2.0/24", { type: 9, index: 0 }),
    route("::/0", { gateway: "2001:db8::1", metric: 55, preference: 1, metrics: { 2: 1280 } }),
    route("2001:db8:dead::/48", { type: 8, index: 0, metric: 1024, preference: 0 }),
  ];
  for (const one of wanted) await addRoute(socket, one, soon());
  for (const one of wanted) await replaceRoute(socket, one, soon());
  const listed = (await listRoutes(socket, soon())).filter(({ protocol }) => protocol !== 2);
  const byText = (a: Route, b: Route): number => a.destination.localeCompare(b.destination);
  t.deepEqual(listed.sort(byText), [...wanted].sort(byText));
  for (const one of wanted) await deleteRoute(socket, one, soon());
  t.deepEqual(
    (await listRoutes(socket, soon())).filter(({ protocol }) => protocol !== 2),
    [],
  );
});

test.serial("a refusal names operation, route, link, errno and the kernel's own words", async (t) => {
  const bad = route("10.77.0.0/16", { gateway: "172.31.9.9" });
  const error = await t.throwsAsync(addRoute(socket, bad, soon()), { instanceOf: TapirError });
  t.is(error.errno, "ENETUNREACH");
  t.regex(
    error.message,
    /^cannot add route 10\.77\.0\.0\/16 via 172\.31\.9\.9 dev eth0: ENETUNREACH \(.*\): Nexthop has invalid gateway$/,
  );
  const missing = await t.throwsAsync(replaceAddress(socket, address("10.1.9.9", { index: 4711 }), soon()), {
    instanceOf: TapirError,
  });
  t.regex(missing.message, /^cannot add address 10\.1\.9\.9\/24 dev #4711: ENODEV/);
  t.is(missing.code, Code.NOT_FOUND);
});

test.serial("neighbours: added, replaced, deleted", async (t) => {
  const base = { index: eth0.index, state: NUD.PERMANENT, flags: 0 };
  const four = { ...base, family: 4, address: "10.1.2.1", mac: "02:00:00:00:00:01" } as const;
  const six = { ...base, family: 6, address: "2001:db8::1", mac: "02:00:00:00:00:02" } as const;
  await replaceNeighbor(socket, { ...four, mac: "02:00:00:00:00:99" }, soon());
  await replaceNeighbor(socket, four, soon());
  await replaceNeighbor(socket, six, soon());
  const listed = (await listNeighbors(socket, soon())).filter(({ state }) => state === NUD.PERMANENT);
  t.deepEqual(listed, [four, six]);
  await deleteNeighbor(socket, four, soon());
  const gone = await t.throwsAsync(deleteNeighbor(socket, four, soon()), { instanceOf: TapirError });
  t.regex(gone.message, /^cannot delete neighbour 10\.1\.2\.1 lladdr 02:00:00:00:00:01 dev eth0: ENOENT/);
});

test.serial("many requests at once on one socket keep their answers apart", async (t) => {
  const answers = await Promise.all([
    ...Array.from({ length: 50 }, () => listLinks(socket, soon()).then((links) => links.length)),
    ...Array.from({ length: 50 }, () =>
      findLink(socket, { name: "eth0" }, soon()).then((link) => link?.index),
    ),
  ]);
  t.true(answers.slice(0, 50).every((count) => count === 3));
  t.true(answers.slice(50).every((index) => index === eth0.index));
});

test.serial(
  "of requests in one piece each is told what became of it, wherever those that fail stand",
  async (t) => {
    const COUNT = 150;
    for (const failing of [[0], [COUNT - 1], [3, 63, 64, 100], [COUNT - 2, COUNT - 1]]) {
      const wanted = Array.from({ length: COUNT }, (_, at) =>
        address(`10.7.0.${at + 1}`, { prefixLength: 32, ...(failing.includes(at) ? { index: 4711 } : {}) }),
      );
      const began = wanted.map((one) => replaceAddress(socket, one, soon()));
      const settled = await Promise.allSettled(began);
      t.deepEqual(
        settled.flatMap(({ status }, at) => (status === "rejected" ? [at] : [])),
        failing,
      );
      const right = wanted.filter((_, at) => !failing.includes(at));
      const there = (await listAddresses(socket, soon())).filter((one) => one.address.startsWith("10.7.0."));
      t.is(there.length, right.length);
      // A table that is read among them is read as it is then.
      const going = right.map((one) => deleteAddress(socket, one, soon()));
      const left = await listAddresses(socket, soon());
      await Promise.all(going);
      t.false(left.some((one) => one.address.startsWith("10.7.0.")));
    }
  },
);

test.serial("waits for a link by MAC: one that is there, one that comes, one that never does", async (t) => {
  const mac = "02:00:00:00:0a:0b";
  t.is((await waitForLink((link) => link.name === "eth0", soon(), { netns })).index, eth0.index);
  const coming = waitForLink((link) => link.mac === mac, soon(), { netns });
  ip("link", "add", "late0", "address", mac, "type", "veth", "peer", "name", "late1");
  const link = await coming;
  t.is(link.name, "late0");
  await deleteLink(socket, link, soon());
  const never = waitForLink((one) => one.mac === mac, deadlineIn(30, "wait for nic"), { netns });
  t.is((await t.throwsAsync(never, { instanceOf: TapirError }))?.code, Code.DEADLINE_EXCEEDED);
});

test.serial("events tell what came and what went, and end when closed", async (t) => {
  const events = openEvents([RTNLGRP.LINK, RTNLGRP.IPV4_IFADDR, RTNLGRP.NEIGH, RTNLGRP.IPV4_ROUTE], {
    netns,
  });
  const added = address("10.4.4.4", { label: "eth0", flags: IFA_F.PERMANENT });
  await replaceAddress(socket, added, soon());
  await deleteAddress(socket, added, soon());
  const seen: string[] = [];
  while (!seen.includes("address gone")) {
    const event = await events.next(soon());
    if (event.kind === "address") t.deepEqual(event.address, added);
    if (event.kind !== "overrun") seen.push(`${event.kind}${event.gone ? " gone" : ""}`);
  }
  t.true(seen.includes("address"));
  t.true(seen.includes("route"));
  const drained = (async () => {
    for await (const event of events) t.truthy(event);
  })();
  events[Symbol.dispose]();
  await drained;
  await t.throwsAsync(events.next(soon()), { message: /was closed/ });
});

test.serial("more events than the socket holds are said to be lost, and later ones come again", async (t) => {
  using events = openEvents([RTNLGRP.IPV4_IFADDR], { netns, receiveBufferBytes: 4096 });
  for (let at = 0; at < 100; at++) {
    // Nobody fetches events meanwhile: the loop does not turn.
    ip("addr", "add", `10.5.0.${at}/32`, "dev", "lo");
  }
  const seen = { address: 0, overrun: 0 };
  while (seen.overrun === 0) {
    const { kind } = await events.next(soon());
    if (kind === "address" || kind === "overrun") seen[kind] += 1;
  }
  t.true(seen.address > 0 && seen.address < 100);
  ip("addr", "flush", "dev", "lo", "to", "10.5.0.0/24");
  for (let gone = false; !gone; ) {
    const event = await events.next(soon());
    gone = event.kind === "address" && event.gone;
  }
});

test.serial("a deadline and a closed socket end a request", async (t) => {
  const closing = openRoute({ netns });
  const pending = listLinks(closing, soon());
  closing[Symbol.dispose]();
  await t.throwsAsync(pending, { message: /cannot list links: .*closed/ });
  await t.throwsAsync(listLinks(closing, soon()), { message: /closed/ });
  const over = deadlineIn(0, "hurry");
  await new Promise((resolve) => setTimeout(resolve, 5));
  const late = await t.throwsAsync(listLinks(socket, over), { instanceOf: TapirError });
  t.is(late.code, Code.DEADLINE_EXCEEDED);
  t.is((await listLinks(socket, soon())).length, 3);
});

test.serial("a namespace that is not there", (t) => {
  const error = t.throws(() => openRoute({ netns: "/run/netns/none-such" }), { instanceOf: TapirError });
  t.is(error.code, Code.NOT_FOUND);
});

test("events of a group that there is none of leave no descriptor open", (t) => {
  const openDescriptors = (): number => readdirSync("/proc/self/fd").length;
  const before = openDescriptors();
  const none = 9999 as typeof RTNLGRP.LINK;
  t.throws(() => openEvents([RTNLGRP.LINK, none]), {
    message: /^cannot subscribe to rtnetlink groups 1, 9999/,
  });
  t.is(openDescriptors(), before);
});
