// Needs root: makes and removes a network namespace.
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { deadlineIn } from "../sys/deadline.ts";
import { TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";
import { discover } from "./discover.ts";

const name = `tapir-discover-${process.pid}`;
const netns = `/run/netns/${name}`;
const soon = () => deadlineIn(60_000, "test discovery");
const ip = (line: string): string =>
  execFileSync("ip", ["-n", name, ...line.split(" ")], { encoding: "utf8" });

test.before(() => {
  execFileSync("ip", ["netns", "add", name]);
  ip("link set lo up");
  ip("link add eth0 address 02:00:00:00:00:01 mtu 1400 type veth peer name peer0");
  ip("link set eth0 up");
  ip("addr add 10.244.1.7/32 dev eth0");
  ip("addr add 2001:db8::7/64 dev eth0 nodad");
  ip("route add 169.254.1.1 dev eth0 scope link");
  ip("route add default via 169.254.1.1 dev eth0 onlink src 10.244.1.7 metric 3");
  ip("neigh add 169.254.1.1 lladdr ee:ee:ee:ee:ee:ee nud permanent dev eth0");
});
test.after.always(() => execFileSync("ip", ["netns", "del", name]));

test("reads links with what belongs to them, routes, and nothing of loopback", async (t) => {
  const found = await discover(netns, soon());
  t.is(found.netns, netns);
  t.is(found.loopbackIndex, 1);
  t.deepEqual(
    found.links.map(({ link }) => link.name),
    ["peer0", "eth0"],
  );
  const eth0 = found.links[1];
  t.like(eth0?.link, { kind: "veth", mac: "02:00:00:00:00:01", mtu: 1400 });
  t.deepEqual(
    eth0?.addresses.map(({ address, prefixLength, scope }) => `${address}/${prefixLength} ${scope}`),
    ["10.244.1.7/32 0", "2001:db8::7/64 0"],
  );
  t.deepEqual(
    eth0?.neighbors.filter(({ state }) => state === 0x80).map(({ address, mac }) => [address, mac]),
    [["169.254.1.1", "ee:ee:ee:ee:ee:ee"]],
  );
  const main = found.routes.filter(({ table, family }) => table === 254 && family === 4);
  t.deepEqual(
    main.map(({ destination, gateway, source, metric, scope, onLink }) => [
      destination,
      gateway,
      source,
      metric,
      scope,
      onLink,
    ]),
    [
      ["0.0.0.0/0", "169.254.1.1", "10.244.1.7", 3, 0, true],
      ["169.254.1.1/32", undefined, undefined, 0, 253, false],
    ],
  );
});

test("changes nothing", async (t) => {
  const before = ip("-j -d addr") + ip("-j route show table all");
  await discover(netns, soon());
  t.is(ip("-j -d addr") + ip("-j route show table all"), before);
});

test("refuses the node's own namespace", async (t) => {
  const error = await t.throwsAsync(discover("/proc/self/ns/net", soon()), { instanceOf: TapirError });
  t.is(error.code, Code.INVALID_ARGUMENT);
  t.regex(error.message, /node's own network; a pod with hostNetwork cannot run in a VM/);
});

test("a namespace that is missing, or is none", async (t) => {
  const missing = await t.throwsAsync(discover("/run/netns/none-such", soon()), { instanceOf: TapirError });
  t.is(missing.code, Code.NOT_FOUND);
  t.regex(missing.message, /^cannot discover network of netns none-such: .*ENOENT/);
  const file = join(tmpdir(), `tapir-no-netns-${process.pid}`);
  writeFileSync(file, "");
  const none = await t.throwsAsync(discover(file, soon()), { instanceOf: TapirError });
  t.is(none.code, Code.INVALID_ARGUMENT);
  rmSync(file);
});
