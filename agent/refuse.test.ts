import test from "ava";
import {
  CreateSandboxRequest,
  Interface,
  InterfaceAddress,
  Neighbor,
  Route,
} from "../proto/gen/tapir/agent/v1/agent.ts";
import { refuseCreateSandbox, refuseNeighbors, refuseRoutes, refuseUpdateInterface } from "./refuse.ts";

const address = (more: Partial<InterfaceAddress> = {}) =>
  InterfaceAddress.create({ address: "10.0.0.5", prefixLength: 24, ...more });
const nic = (more: Partial<Interface> = {}) =>
  Interface.create({ name: "eth0", mac: "02:00:00:00:00:01", mtu: 1500, addresses: [address()], ...more });
const route = (more: Partial<Route> = {}) =>
  Route.create({ destination: "10.1.0.0/16", family: 4, device: "eth0", table: 254, type: 1, ...more });
const neighbor = (more: Partial<Neighbor> = {}) =>
  Neighbor.create({ device: "eth0", address: "10.0.0.1", mac: "02:00:00:00:00:02", state: 0x80, ...more });
const sandbox = (more: Partial<CreateSandboxRequest> = {}) =>
  CreateSandboxRequest.create({
    sandboxId: "a1b2",
    hostname: "pod-1.example",
    unixTimeNanoseconds: 1_800_000_000_000_000_000n,
    entropy: Buffer.alloc(64),
    interfaces: [nic()],
    routes: [route()],
    neighbors: [neighbor()],
    dns: { servers: ["10.0.0.10", "fd00::a"], searches: ["svc.local"], options: ["ndots:5"] },
    ...more,
  });

test("what a host sends is accepted", (t) => {
  t.notThrows(() => refuseCreateSandbox(sandbox()));
  t.notThrows(() => refuseCreateSandbox(sandbox({ hostname: "", dns: undefined })));
  const widest = nic({
    name: "abcdefghijklmno",
    addresses: [
      address({ address: "fe80::1", prefixLength: 64, scope: 253, flags: 0x280 }),
      address({
        address: "10.0.0.5",
        prefixLength: 32,
        peer: "10.0.0.1",
        broadcast: "10.0.0.255",
        label: "eth0:1",
      }),
      address({ address: "::", prefixLength: 0 }),
    ],
  });
  t.notThrows(() => refuseUpdateInterface({ interface: widest, linkTimeoutMilliseconds: 0 }));
  t.notThrows(() =>
    refuseRoutes({
      routes: [
        route({ destination: "0.0.0.0/0", gateway: "10.0.0.1" }),
        route({ destination: "0.0.0.0/0", gateway: "fe80::1", table: 4000 }),
        route({ destination: "::/0", family: 6, gateway: "fe80::1", preference: 4 }),
        route({ destination: "10.9.9.9/32", type: 6, device: "" }),
        route({ device: "", nextHops: [{ gateway: "10.0.0.1", device: "eth0", weight: 256, onLink: true }] }),
        route({ mtu: 1400, metrics: { 7: 10 } }),
        route({ device: "lo" }),
      ],
    }),
  );
  t.notThrows(() => refuseNeighbors({ neighbors: [neighbor({ mac: "", state: 0, address: "fe80::1" })] }));
});

const refused = (name: string, reason: RegExp, requests: readonly Partial<CreateSandboxRequest>[]): void => {
  test(`refused: ${name}`, (t) => {
    for (const request of requests) {
      const text = JSON.stringify(request, (_, value) => (typeof value === "bigint" ? `${value}` : value));
      const error = t.throws(
        () => refuseCreateSandbox(sandbox(request)),
        { message: reason },
        text.slice(0, 200),
      );
      t.like(error, { code: 3, operation: "accept" });
    }
  });
};
const nics = (...changes: Partial<Interface>[]) => changes.map((one) => ({ interfaces: [nic(one)] }));
const addresses = (...changes: Partial<InterfaceAddress>[]) =>
  nics(...changes.map((one) => ({ addresses: [address(one)] })));
const routes = (...changes: Partial<Route>[]) => changes.map((one) => ({ routes: [route(one)] }));
const neighbors = (...changes: Partial<Neighbor>[]) => changes.map((one) => ({ neighbors: [neighbor(one)] }));
const dns = (servers: string[], searches: string[] = [], options: string[] = []) => ({
  dns: { servers, searches, options },
});

refused(
  "sandbox ids",
  /sandbox id/,
  ["", "../x", "a b", "-x", "x".repeat(129)].map((sandboxId) => ({ sandboxId })),
);
refused(
  "hostnames",
  /hostname/,
  ["a b", "-a", "a-", "a..b", "a\nb", "ü", `${"a".repeat(63)}.${"b".repeat(5)}`].map((hostname) => ({
    hostname,
  })),
);
refused("clocks", /time/, [{ unixTimeNanoseconds: 0n }, { unixTimeNanoseconds: 2n ** 64n - 1n }]);
refused("entropy", /entropy/, [{ entropy: Buffer.alloc(0) }, { entropy: Buffer.alloc(4097) }]);
refused("time-outs", /link timeout/, [{ linkTimeoutMilliseconds: 600_001 }]);
refused("DNS servers", /DNS server/, [dns(["dns.example"]), dns([""]), dns(Array(17).fill("10.0.0.1"))]);
refused("DNS words", /DNS (word|searches|options)/, [
  dns([], ["a b"]),
  dns([], ["a\nnameserver 1.2.3.4"]),
  dns([], [], [""]),
  dns([], ["x".repeat(257)]),
  dns([], Array(33).fill("a")),
]);
refused(
  "interface names",
  /interface name/,
  nics(
    { name: "" },
    { name: "lo" },
    { name: "." },
    { name: ".." },
    { name: "a/b" },
    { name: "eth%d" },
    { name: "a b" },
    { name: "abcdefghijklmnop" },
    { name: "ä" },
  ),
);
refused(
  "macs",
  /interface mac/,
  nics(
    { mac: "" },
    { mac: "02:00:00:00:00" },
    { mac: "02:00:00:00:00:0G" },
    { mac: "02:00:00:00:00:0A" },
    { mac: "01:00:00:00:00:01" },
    { mac: "00:00:00:00:00:00" },
    { mac: "ff:ff:ff:ff:ff:ff" },
  ),
);
refused("mtus", /mtu/, nics({ mtu: 0 }, { mtu: 67 }, { mtu: 65_536 }));
refused("queue lengths", /tx queue length/, nics({ txQueueLength: 2 ** 32 - 1 }));
refused("numbers of things", /at most/, [
  { interfaces: Array(65).fill(nic()) },
  ...nics({ addresses: Array(257).fill(address()) }),
  { routes: Array(4097).fill(route()) },
  { neighbors: Array(4097).fill(neighbor()) },
]);
refused("names and macs that are there twice", /it is there twice/, [
  { interfaces: [nic(), nic({ mac: "02:00:00:00:00:02" })] },
  { interfaces: [nic(), nic({ name: "eth1" })] },
]);
refused("addresses", /address|prefix|peer|broadcast|scope/, [
  ...addresses(
    { address: "" },
    { address: "10.0.0.256" },
    { address: "fe80::1%eth0" },
    { address: "10.0.0.0/8" },
  ),
  ...addresses({ prefixLength: 33 }, { address: "fd00::1", prefixLength: 129 }),
  ...addresses({ peer: "fd00::1" }, { peer: "x" }, { broadcast: "fd00::1" }),
  ...addresses({ address: "fd00::1", prefixLength: 64, broadcast: "10.0.0.255" }),
  ...addresses({ scope: 256 }, { label: "sixteen characte" }, { label: "a b" }),
]);
refused("routes", /route|gateway|hop|interface name/, [
  ...routes({ destination: "10.1.0.0" }, { destination: "10.1.0.1/16" }, { destination: "default" }),
  ...routes({ destination: "10.1.0.0/33" }, { destination: "10.1.0.0/" }, { destination: "fd00::/64" }),
  ...routes({ destination: "fd00::1/64", family: 6 }, { family: 5 }, { family: 6 }),
  ...routes({ gateway: "gw" }, { destination: "fd00::/64", family: 6, gateway: "10.0.0.1" }),
  ...routes({ source: "fd00::1" }, { device: "" }, { device: "eth/0" }, { type: 3 }, { type: 6 }),
  ...routes({ table: 0 }, { table: 255 }, { scope: 256 }, { protocol: 256 }, { preference: 5 }),
  ...routes({ metrics: { 0: 1 } }, { metrics: { 18: 1 } }),
  ...routes({ nextHops: [{ gateway: "10.0.0.1", device: "eth0", weight: 1, onLink: false }] }),
  ...routes({ device: "", nextHops: [{ gateway: "10.0.0.1", device: "eth0", weight: 0, onLink: false }] }),
  ...routes({ device: "", nextHops: [{ gateway: "x", device: "eth0", weight: 1, onLink: false }] }),
]);
refused("neighbours", /neighbour|interface name/, [
  ...neighbors({ device: "" }, { address: "x" }, { mac: "02" }, { state: 256 }, { flags: 256 }),
]);

test("a value in a refusal is quoted and cut", (t) => {
  const error = t.throws(() => refuseCreateSandbox(sandbox({ sandboxId: `\n${"x".repeat(1000)}` })));
  t.true(error.message.length < 200);
  t.false(error.message.includes("\n"));
});

test("an update without interface is refused", (t) => {
  t.throws(() => refuseUpdateInterface({ interface: undefined, linkTimeoutMilliseconds: 0 }), {
    message: /interface.*missing/,
  });
});
