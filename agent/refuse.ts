import { isIP } from "node:net";
import type {
  AddARPNeighborsRequest,
  CreateSandboxRequest,
  DnsConfiguration,
  Interface,
  InterfaceAddress,
  Neighbor,
  NextHop,
  PingRequest,
  Route,
  Rule,
  UpdateInterfaceRequest,
  UpdateNetworkRequest,
  UpdateRoutesRequest,
  UpdateRulesRequest,
} from "../proto/gen/tapir/agent/v1/agent.ts";
import { INTERFACE_SYSCTLS } from "../sys/interface-sysctl.ts";
import { FR_ACT, RT_TABLE, RTN } from "../sys/netlink/records.ts";
import { outside, refusal, refuseIp, refusePrefix, repeated, tooMany, when } from "./refusal.ts";

// The checks of what the host sends for the sandbox and its network; those of containers are in
// container/refuse.ts and container/parse-spec.ts. A host may be buggy, and what it passes on was written by others: nothing
// reaches a file, the kernel or an error text before it went through them.

const LIMIT = {
  interfaces: 64,
  addresses: 256,
  routes: 4096,
  rules: 1024,
  neighbors: 4096,
  nextHops: 64,
  metrics: 16,
  dnsServers: 16,
  dnsSearches: 32,
  dnsOptions: 32,
  dnsTextBytes: 256,
  hostnameBytes: 64,
  entropyBytes: { min: 32, max: 4096 },
  mtuBytes: { min: 68, max: 65_535 },
  linkTimeoutMilliseconds: 600_000,
  txQueueLength: 1 << 20,
} as const;

const RULE_ACTIONS: readonly number[] = Object.values(FR_ACT);
/** Types of routes that lead somewhere, and nowhere. */
const LEADING: readonly number[] = [RTN.UNICAST, RTN.LOCAL, RTN.MULTICAST];
const DISCARDING: readonly number[] = [RTN.BLACKHOLE, RTN.UNREACHABLE, RTN.PROHIBIT, RTN.THROW];

/** 2020-01-01 and 2200-01-01: what is outside is no clock. */
const TIME = { min: 1_577_836_800n * 10n ** 9n, max: 7_258_118_400n * 10n ** 9n };

export function refuseCreateSandbox(request: CreateSandboxRequest): void {
  const { sandboxId, hostname, dns, unixTimeNanoseconds, madeUnixTimeNanoseconds, entropy } = request;
  when(
    !/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(sandboxId),
    "sandbox id",
    sandboxId,
    "1 to 128 letters, digits, _ . -",
  );
  // A spec without a hostname leaves the guest's.
  if (hostname !== "") refuseHostname(hostname);
  if (dns !== undefined) refuseDns(dns);
  outside("time", unixTimeNanoseconds, TIME);
  if (madeUnixTimeNanoseconds !== 0n) outside("time", madeUnixTimeNanoseconds, TIME);
  outside("entropy bytes", entropy.length, LIMIT.entropyBytes);
  refuseNetwork(request);
}

/** What CreateSandbox and UpdateNetwork have in common. */
export function refuseNetwork(request: UpdateNetworkRequest): void {
  refuseLinkTimeout(request.linkTimeoutMilliseconds);
  const { interfaces } = request;
  tooMany("interfaces", interfaces, LIMIT.interfaces);
  for (const one of interfaces) refuseInterface(one);
  repeated(
    "interface name",
    interfaces.map((one) => one.name),
  );
  repeated(
    "interface mac",
    interfaces.map((one) => one.mac),
  );
  refuseRoutes(request);
  refuseRules(request);
  refuseNeighbors(request);
}

export function refuseUpdateInterface(request: UpdateInterfaceRequest): void {
  if (request.interface === undefined) throw refusal("interface", "", "it is missing");
  refuseInterface(request.interface);
  refuseLinkTimeout(request.linkTimeoutMilliseconds);
}

export function refusePing({ address, timeoutMilliseconds }: PingRequest): void {
  when(isIP(address) === 0, "address", address, "an IPv4 or IPv6 address");
  outside("ping timeout in ms", timeoutMilliseconds, { min: 1, max: 60_000 });
}

export function refuseRoutes({ routes }: UpdateRoutesRequest): void {
  tooMany("routes", routes, LIMIT.routes);
  for (const route of routes) refuseRoute(route);
}

export function refuseRules({ rules }: Pick<UpdateRulesRequest, "rules">): void {
  tooMany("rules", rules, LIMIT.rules);
  for (const rule of rules) refuseRule(rule);
}

export function refuseNeighbors({ neighbors }: Pick<AddARPNeighborsRequest, "neighbors">): void {
  tooMany("neighbours", neighbors, LIMIT.neighbors);
  for (const neighbor of neighbors) refuseNeighbor(neighbor);
}

function refuseInterface(wanted: Interface): void {
  refuseName(wanted.name);
  when(wanted.name === "lo", "interface name", wanted.name, "loopback is the guest's own");
  refuseMac("interface mac", wanted.mac);
  if (wanted.hardwareMac !== undefined) refuseMac("hardware mac", wanted.hardwareMac);
  const { port } = wanted;
  if (port !== undefined)
    when(!/^0000:00:[0-9a-f]{2}\.0$/.test(port), "port", port, "the PCI address of a root port");
  outside("mtu", wanted.mtu, LIMIT.mtuBytes);
  outside("tx queue length", wanted.txQueueLength, { min: 0, max: LIMIT.txQueueLength });
  tooMany("addresses", wanted.addresses, LIMIT.addresses);
  for (const address of wanted.addresses) refuseAddress(address);
  for (const [key, value] of Object.entries(wanted.sysctls)) refuseSysctl(key, value);
}

function refuseSysctl(key: string, value: string): void {
  when(!INTERFACE_SYSCTLS.has(key), "interface setting", key, "it is none of sys/interface-sysctl.ts");
  when(!/^-?\d{1,10}$/.test(value), `value of ${key}`, value, "a whole number");
}

function refuseAddress({ address, prefixLength, peer, broadcast, scope, label }: InterfaceAddress): void {
  const family = refuseIp("address", address);
  outside(`prefix length of ${address}`, prefixLength, { min: 0, max: family === 4 ? 32 : 128 });
  if (peer !== "") when(refuseIp("peer", peer) !== family, "peer", peer, `${address} is of another family`);
  if (broadcast !== "")
    when(refuseIp("broadcast", broadcast) !== 4 || family !== 4, "broadcast", broadcast, "IPv4 only");
  outside(`scope of ${address}`, scope, { min: 0, max: 255 });
  when(!/^[\x21-\x7e]{0,15}$/.test(label), "address label", label, "at most 15 visible characters");
}

function refuseRoute(route: Route): void {
  const { destination, family, gateway, device, source, table, type } = route;
  when(family !== 4 && family !== 6, "route family", String(family), "4 or 6");
  refusePrefix("route destination", destination, family);
  outside("route tos", route.tos, { min: 0, max: family === 4 ? 255 : 0 });
  if (gateway !== "") refuseGateway(gateway, family);
  if (source !== "")
    when(refuseIp("route source", source) !== family, "route source", source, `it is not IPv${family}`);
  const discards = DISCARDING.includes(type);
  when(!LEADING.includes(type) && !discards, "route type", String(type), "1, 2, 5, 6, 7, 8 or 9");
  when(
    discards && (gateway !== "" || device !== ""),
    "route",
    destination,
    "it leads nowhere and has a device or gateway",
  );
  if (!discards && route.nextHops.length === 0) refuseName(device);
  when(
    route.nextHops.length > 0 && (gateway !== "" || device !== ""),
    "route",
    destination,
    "it has next hops and a device or gateway",
  );
  tooMany("next hops", route.nextHops, LIMIT.nextHops);
  for (const hop of route.nextHops) refuseNextHop(hop, family);
  outside("route table", table, { min: 1, max: 0xffff_ffff });
  when(table === RT_TABLE.LOCAL, "route table", String(table), "the local table is the kernel's");
  outside("route scope", route.scope, { min: 0, max: 255 });
  outside("route protocol", route.protocol, { min: 0, max: 255 });
  outside("route preference", route.preference, { min: 0, max: 4 });
  const metrics = Object.keys(route.metrics);
  tooMany("route metrics", metrics, LIMIT.metrics);
  for (const metric of metrics) outside("route metric number", Number(metric), { min: 1, max: 17 });
}

function refuseRule(rule: Rule): void {
  const { family, source, destination, inputInterface, outputInterface } = rule;
  when(family !== 4 && family !== 6, "rule family", String(family), "4 or 6");
  if (source !== "") refusePrefix("rule source", source, family);
  if (destination !== "") refusePrefix("rule destination", destination, family);
  if (inputInterface !== "") refuseName(inputInterface);
  if (outputInterface !== "") refuseName(outputInterface);
  outside("rule tos", rule.tos, { min: 0, max: 255 });
  when(!RULE_ACTIONS.includes(rule.action), "rule action", String(rule.action), "1, 2, 3, 6, 7 or 8");
  outside("rule protocol", rule.protocol, { min: 0, max: 255 });
  outside("rule ip protocol", rule.ipProtocol, { min: 0, max: 255 });
  for (const ports of [rule.sourcePorts, rule.destinationPorts]) {
    if (ports === undefined) continue;
    outside("rule port", ports.start, { min: 1, max: 65_535 });
    outside("rule port", ports.end, { min: ports.start, max: 65_535 });
  }
}

function refuseNextHop({ gateway, device, weight }: NextHop, family: number): void {
  if (gateway !== "") refuseGateway(gateway, family);
  refuseName(device);
  outside("next hop weight", weight, { min: 1, max: 256 });
}

/** IPv4 may go through an IPv6 gateway, not the other way round. */
function refuseGateway(gateway: string, family: number): void {
  when(refuseIp("gateway", gateway) === 4 && family === 6, "gateway", gateway, "the route is IPv6");
}

function refuseNeighbor({ device, address, mac, state, flags }: Neighbor): void {
  refuseName(device);
  refuseIp("neighbour", address);
  if (mac !== "") refuseMac("neighbour mac", mac);
  outside("neighbour state", state, { min: 0, max: 0xff });
  outside("neighbour flags", flags, { min: 0, max: 0xff });
}

/** The kernel's rule (dev_valid_name) and nothing that a shell or a log line could stumble over. */
function refuseName(name: string): void {
  when(
    !/^[A-Za-z0-9_.@-]{1,15}$/.test(name) || name === "." || name === "..",
    "interface name",
    name,
    "1 to 15 letters, digits, _ . @ -",
  );
}

/** Six bytes, of one station: neither zero nor a group's. */
function refuseMac(what: string, mac: string): void {
  when(!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac), what, mac, "six lower-case bytes with colons");
  when(mac === "00:00:00:00:00:00" || (Number.parseInt(mac, 16) & 1) === 1, what, mac, "no station has it");
}

const LABEL = "[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?";
const HOSTNAME = new RegExp(`^${LABEL}(\\.${LABEL})*$`);

function refuseHostname(hostname: string): void {
  when(
    !HOSTNAME.test(hostname) || hostname.length > LIMIT.hostnameBytes,
    "hostname",
    hostname,
    "a DNS name of at most 64 characters",
  );
}

/** One word each: a line break would be a line of resolv.conf. */
function refuseDns({ servers, searches, options }: DnsConfiguration): void {
  tooMany("DNS servers", servers, LIMIT.dnsServers);
  tooMany("DNS searches", searches, LIMIT.dnsSearches);
  tooMany("DNS options", options, LIMIT.dnsOptions);
  for (const server of servers) refuseIp("DNS server", server);
  for (const word of [...searches, ...options]) {
    when(
      !/^[\x21-\x7e]+$/.test(word) || word.length > LIMIT.dnsTextBytes,
      "DNS word",
      word,
      "visible characters, at most 256",
    );
  }
}

function refuseLinkTimeout(milliseconds: number): void {
  outside("link timeout in ms", milliseconds, { min: 0, max: LIMIT.linkTimeoutMilliseconds });
}
