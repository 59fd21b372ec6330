import { type Random, randomFrom } from "./random.ts";

/** A netns that a CNI might have left, as lines for `ip -force -batch` and settings to write. */
export interface Generated {
  readonly names: readonly string[];
  readonly batch: readonly string[];
  readonly sysctls: readonly Setting[];
}

interface Setting {
  readonly path: string;
  readonly value: string;
}

const NAMES = ["eth0", "net1", "a", "abcdefghijklmno", "eth0.100", "tapir7", "bond0", "eth1"];
const MTUS = [576, 1279, 1280, 1400, 1450, 1500, 1500, 1500, 8951, 9000, 65_535];

/** Of `macs`, one NIC each; always the same for the same seed. Lines that the kernel refuses are part of the game. */
export function generate(seed: number, macs: readonly string[]): Generated {
  const random = randomFrom(seed);
  const names = distinct(random, macs.length);
  const links = names.flatMap((name, at) => linkLines(random, name, macs[at] ?? "", at));
  const places = names.map((name, at) => ({ name, net: at + 1 + random.number(2) }));
  const addressed = places.map((place) => ({ place, lines: addressLines(random, place) }));
  const addresses = addressed.flatMap(({ lines }) => lines);
  const nics: Nic[] = addressed.map(({ place, lines }) => ({ ...place, ...hostsIn(lines) }));
  const neighbors = nics.flatMap((nic) => neighborLines(random, nic));
  const routes = [
    ...random.some(6, () => routeLine(random, random.pick(nics), nics)),
    ...random.some(6, () => route6Line(random, random.pick(nics), nics)),
  ];
  const rules = random.oneIn(2) ? random.some(4, (at) => ruleLine(random, nics, 1000 + at)) : [];
  if (random.oneIn(20)) rules.push("rule del pref 32767");
  return {
    names,
    batch: [...links, ...addresses, ...neighbors, ...routes, ...rules],
    sysctls: random.oneIn(3) ? names.flatMap((name) => sysctls(random, name, routes)) : [],
  };
}

interface Place {
  readonly name: string;
  /** Its addresses are 10.<net>.0.0/16 and fd00:<net>::/32: two NICs may share them. */
  readonly net: number;
}

/** With the addresses that it was given. */
interface Nic extends Place {
  readonly four: readonly string[];
  readonly six: readonly string[];
}

function hostsIn(lines: readonly string[]): Pick<Nic, "four" | "six"> {
  const hosts = lines.flatMap((line) => /addr add ([^ /]+)/.exec(line)?.[1] ?? []);
  return {
    four: hosts.filter((host) => !host.includes(":")),
    six: hosts.filter((host) => host.includes(":")),
  };
}

function distinct(random: Random, count: number): string[] {
  const names = new Set<string>();
  while (names.size < count) names.add(random.pick(NAMES));
  return [...names];
}

function linkLines(random: Random, name: string, mac: string, at: number): string[] {
  const flags = [
    random.oneIn(8) ? "arp off" : "",
    random.oneIn(10) ? "promisc on" : "",
    random.oneIn(10) ? "allmulticast on" : "",
    random.oneIn(10) ? "multicast off" : "",
    random.oneIn(5) ? `txqueuelen ${random.pick([0, 1, 500, 10_000])}` : "",
  ].filter((flag) => flag !== "");
  return [
    `link add name ${name} address ${mac} type veth peer name peer${at}`,
    `link set peer${at} mtu 65535`,
    `link set ${name} mtu ${random.pick(MTUS)}`,
    ...flags.map((flag) => `link set ${name} ${flag}`),
    random.oneIn(8) ? `link set ${name} addrgenmode none` : `link set ${name} addrgenmode eui64`,
    `link set peer${at} addrgenmode none`,
    `link set peer${at} up`,
    random.oneIn(12) ? `link set ${name} down` : `link set ${name} up`,
  ];
}

const host4 = (random: Random, { net }: Place): string =>
  `10.${net}.${random.number(3)}.${2 + random.number(250)}`;
const host6 = (random: Random, { net }: Place): string =>
  `fd00:${net}::${random.number(3)}:${(2 + random.number(65_000)).toString(16)}`;

function addressLines(random: Random, nic: Place): string[] {
  const lines = [
    ...random.some(4, () => address4(random, nic)),
    ...random.some(4, () => address6(random, nic)),
  ];
  // The cloud's way: an address alone and a gateway beside every subnet.
  if (random.oneIn(5)) {
    lines.push(
      `addr add 10.${nic.net}.9.9/32 dev ${nic.name}`,
      `route add 169.254.1.1 dev ${nic.name} scope link`,
      `route add default via 169.254.1.1 dev ${nic.name} metric ${random.number(3)}`,
      `neigh replace 169.254.1.1 lladdr ee:ee:ee:ee:ee:ee dev ${nic.name} nud permanent`,
    );
  }
  return lines;
}

/** Deprecated, or as a DHCP client gives them: the guest has those as long as the netns has. */
function lifetime(random: Random): string {
  if (random.oneIn(10)) return `${random.pick(["", "valid_lft 86400 "])}preferred_lft 0`;
  return random.oneIn(12) ? "valid_lft 86400 preferred_lft 43200" : "";
}

function address4(random: Random, nic: Place): string {
  const own = host4(random, nic);
  const peer = random.oneIn(6) ? ` peer ${host4(random, nic)}/${random.pick([16, 24, 32])}` : "";
  const place = peer === "" ? `${own}/${random.pick([8, 16, 22, 24, 24, 24, 30, 31, 32])}` : `${own}${peer}`;
  return [
    `addr add ${place} dev ${nic.name}`,
    random.oneIn(2) && peer === "" ? "broadcast +" : "",
    random.oneIn(5) ? `scope ${random.pick(["link", "host", "site"])}` : "",
    random.oneIn(5) ? `label ${nic.name.slice(0, 10)}:${random.number(9)}` : "",
    random.oneIn(6) ? `metric ${1 + random.number(500)}` : "",
    random.oneIn(6) ? "noprefixroute" : "",
    lifetime(random),
  ].join(" ");
}

function address6(random: Random, nic: Place): string {
  const peer = random.oneIn(6) ? ` peer ${host6(random, nic)}/${random.pick([64, 128])}` : "";
  const own = random.oneIn(6) ? `fe80::${1 + random.number(98)}:1` : host6(random, nic);
  const place = peer === "" ? `${own}/${random.pick([48, 64, 64, 64, 112, 127, 128])}` : `${own}${peer}`;
  return [
    `-6 addr add ${place} dev ${nic.name} nodad`,
    random.oneIn(6) ? `metric ${1 + random.number(500)}` : "",
    random.oneIn(6) ? "noprefixroute" : "",
    lifetime(random),
    random.oneIn(15) ? "home" : "",
  ].join(" ");
}

function neighborLines(random: Random, nic: Place): string[] {
  const mac = (): string => `02:00:00:00:${random.number(90) + 10}:${random.number(90) + 10}`;
  return [
    ...random.some(
      2,
      () => `neigh replace ${host4(random, nic)} lladdr ${mac()} dev ${nic.name} nud permanent`,
    ),
    ...random.some(
      2,
      () => `-6 neigh replace ${host6(random, nic)} lladdr ${mac()} dev ${nic.name} nud permanent`,
    ),
    ...(random.oneIn(4)
      ? [
          `-6 neigh replace fe80::1 lladdr ${mac()} dev ${nic.name} nud permanent ${random.pick(["", "router"])}`,
        ]
      : []),
  ];
}

function attributes(random: Random): string {
  return [
    random.oneIn(3) ? `metric ${1 + random.number(2000)}` : "",
    random.oneIn(4) ? `table ${random.pick([100, 253, 1000, 4_000_000_000])}` : "",
    random.oneIn(3) ? `proto ${random.pick(["static", "boot", "186", "42", "ra"])}` : "",
    random.oneIn(5) ? `mtu ${random.pick(["", "lock "])}${1280 + random.number(200)}` : "",
    random.oneIn(8) ? `advmss ${500 + random.number(900)}` : "",
    random.oneIn(8) ? `initcwnd ${1 + random.number(50)} initrwnd ${1 + random.number(50)}` : "",
    random.oneIn(10) ? `hoplimit ${1 + random.number(250)}` : "",
    random.oneIn(10) ? "quickack 1" : "",
    random.oneIn(10) ? "features ecn" : "",
    random.oneIn(10) ? "rto_min 20ms" : "",
  ].join(" ");
}

const source = (random: Random, hosts: readonly string[]): string =>
  hosts.length > 0 && random.oneIn(4) ? `src ${random.pick(hosts)}` : "";

const NOWHERE = ["blackhole", "unreachable", "prohibit", "throw"];

function routeLine(random: Random, nic: Nic, nics: readonly Nic[]): string {
  const to = random.oneIn(4) ? "default" : `10.${100 + random.number(100)}.0.0/16`;
  const tos = random.oneIn(10) ? "tos 0x10" : "";
  const rest = `${tos} ${attributes(random)} ${source(random, nic.four)}`;
  switch (random.number(7)) {
    case 0:
      return `route append ${to} dev ${nic.name} scope link ${rest}`;
    case 1:
      return `route append ${random.pick(NOWHERE)} 10.${200 + random.number(50)}.0.0/16 ${rest}`;
    case 2:
      return `route append ${to} ${rest} ${nics.map((one) => `nexthop via 10.${one.net}.0.1 dev ${one.name} onlink weight ${1 + random.number(9)}`).join(" ")}`;
    case 3:
      return `route append ${to} via inet6 fe80::1 dev ${nic.name} ${rest}`;
    case 4:
      return `route append ${to} via 10.${nic.net}.0.1 dev ${nic.name} ${rest}`;
    case 5:
      return `route append local 10.${150 + random.number(50)}.0.0/16 dev lo table 100 ${rest.replace(/table \d+/, "")}`;
    default:
      return `route append ${to} via 192.0.2.${1 + random.number(5)} dev ${nic.name} onlink ${rest}`;
  }
}

function route6Line(random: Random, nic: Nic, nics: readonly Nic[]): string {
  const to = random.oneIn(4) ? "default" : `2001:db8:${random.number(9)}::/48`;
  const rest = `${attributes(random)} ${source(random, nic.six)}`;
  const preference = random.oneIn(6) ? `pref ${random.pick(["low", "high"])}` : "";
  switch (random.number(5)) {
    case 0:
      return `-6 route append ${to} dev ${nic.name} ${rest} ${preference}`;
    case 1:
      return `-6 route append ${random.pick(NOWHERE)} 2001:db8:f${random.number(9)}::/48 ${rest}`;
    case 2:
      return `-6 route append ${to} ${rest} ${nics.map((one) => `nexthop via fe80::${1 + random.number(2)} dev ${one.name} weight ${1 + random.number(9)}`).join(" ")}`;
    case 3:
      return `-6 route append ${to} via fd00:${nic.net}::1 dev ${nic.name} onlink ${rest} ${preference}`;
    default:
      return `-6 route append ${to} via fe80::1 dev ${nic.name} ${rest} ${preference}`;
  }
}

function ruleLine(random: Random, nics: readonly Nic[], pref: number): string {
  const nic = random.pick(nics);
  const family = random.oneIn(2) ? "-6" : "-4";
  const own = family === "-4" ? `10.${nic.net}.0.0/16` : `fd00:${nic.net}::/32`;
  const selector = random.pick([
    `from ${own}`,
    `to ${own}`,
    `not from ${own}`,
    `iif ${nic.name}`,
    `oif ${nic.name}`,
    `fwmark 0x200/0xf00`,
    "ipproto tcp dport 80-90",
    "ipproto udp sport 53",
    "uidrange 0-99",
  ]);
  const action = random.pick([
    "table 100",
    "table 4000000000",
    "table main suppress_prefixlength 0",
    "blackhole",
    "prohibit",
    "goto 32766",
  ]);
  return `${family} rule add pref ${pref} ${selector} ${action}${random.oneIn(3) ? " proto static" : ""}`;
}

const SETTINGS: readonly (readonly [string, readonly string[]])[] = [
  ["ipv4/conf/NIC/rp_filter", ["0", "1", "2"]],
  ["ipv4/conf/NIC/arp_ignore", ["1", "2"]],
  ["ipv4/conf/NIC/arp_announce", ["1", "2"]],
  ["ipv4/conf/NIC/proxy_arp", ["1"]],
  ["ipv4/conf/NIC/forwarding", ["1"]],
  ["ipv4/conf/NIC/accept_local", ["1"]],
  ["ipv4/conf/NIC/accept_redirects", ["0"]],
  ["ipv4/conf/NIC/arp_accept", ["1", "2"]],
  ["ipv4/conf/NIC/arp_filter", ["1"]],
  ["ipv4/conf/NIC/promote_secondaries", ["1"]],
  ["ipv4/conf/NIC/route_localnet", ["1"]],
  ["ipv4/conf/NIC/send_redirects", ["0"]],
  ["ipv4/conf/NIC/src_valid_mark", ["1"]],
  ["ipv4/conf/all/rp_filter", ["1", "2"]],
  ["ipv4/conf/all/arp_ignore", ["1"]],
  ["ipv4/conf/all/route_localnet", ["1"]],
  ["ipv6/conf/NIC/accept_ra", ["0", "2"]],
  ["ipv6/conf/NIC/accept_redirects", ["0"]],
  ["ipv6/conf/NIC/autoconf", ["0"]],
  ["ipv6/conf/NIC/use_tempaddr", ["1", "2"]],
  ["ipv6/conf/NIC/forwarding", ["1"]],
  ["ipv6/conf/NIC/proxy_ndp", ["1"]],
  ["ipv6/conf/NIC/disable_ipv6", ["1"]],
];

function sysctls(random: Random, name: string, routes: readonly string[]): Setting[] {
  // A NIC that lost IPv6 under its routes keeps some that nobody could make again.
  const hasSix = routes.some((line) => line.includes("inet6"));
  return random.some(3, () => {
    const [key, values] = random.pick(hasSix ? SETTINGS.slice(0, -1) : SETTINGS);
    return { path: `/proc/sys/net/${key.replace("NIC", name)}`, value: random.pick(values) };
  });
}
