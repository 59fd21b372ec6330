import { type Interface, Neighbor, type NextHop, Route } from "../../proto/gen/tapir/agent/v1/agent.ts";
import {
  ChangeInterfaceRequest,
  type InterfaceLimits,
} from "../../proto/gen/tapir/management/v1/management.ts";
import { TapirError } from "../../sys/error.ts";
import { familyOfText } from "../../sys/netlink/address-text.ts";
import { RT_TABLE, RTN, RTPROT } from "../../sys/netlink/records.ts";
import { Code } from "../../sys/status.ts";

// The JSON of `kata-runtime kata-network` (Kata Containers 1.x), both ways; what it had no name for has ours.

type Fields = Readonly<Record<string, unknown>>;

/** An interface as add-iface, update-iface and del-iface take it. */
export function interfaceFromJson(json: unknown): ChangeInterfaceRequest {
  const fields = fieldsOf(json, "interface");
  const addresses = listOf(fields.IPAddresses, "IPAddresses").map((entry) => {
    const one = fieldsOf(entry, "IPAddresses");
    return { address: textOf(one, "Address"), prefixLength: numberOf(one, "Mask") };
  });
  return ChangeInterfaceRequest.create({
    device: textOf(fields, "Device"),
    name: textOf(fields, "Name"),
    mac: textOf(fields, "HwAddr").toLowerCase(),
    mtu: numberOf(fields, "Mtu"),
    addresses,
    rxRateLimiterMaxRate: rateOf(fields, "RxRateLimiterMaxRate"),
    txRateLimiterMaxRate: rateOf(fields, "TxRateLimiterMaxRate"),
  });
}

type Limits = Omit<InterfaceLimits, "mac">;
export const NO_LIMITS: Limits = { rxRateLimiterMaxRate: 0n, txRateLimiterMaxRate: 0n };

/** Bits per second, as in the configuration. Left out: as it is; 0: without limit. */
function rateOf(fields: Fields, key: string): bigint | undefined {
  return fields[key] === undefined ? undefined : BigInt(numberOf(fields, key));
}

export function interfaceToJson(
  { name, mac, mtu, addresses, up }: Interface,
  { rxRateLimiterMaxRate, txRateLimiterMaxRate }: Limits = NO_LIMITS,
): Fields {
  return {
    Device: name,
    Name: name,
    IPAddresses: addresses.map(({ address, prefixLength }) => ({
      Family: familyOfText(address) === 4 ? 2 : 10,
      Address: address,
      Mask: String(prefixLength),
    })),
    Mtu: mtu,
    HwAddr: mac,
    Up: up,
    RxRateLimiterMaxRate: Number(rxRateLimiterMaxRate),
    TxRateLimiterMaxRate: Number(txRateLimiterMaxRate),
  };
}

/** Routes as update-routes takes them; without those that a kernel makes by itself, which a list has too. */
export function routesFromJson(json: unknown): Route[] {
  return listOf(json, "routes")
    .map((entry) => routeFromJson(fieldsOf(entry, "route")))
    .filter(({ protocol }) => protocol !== RTPROT.KERNEL && protocol !== RTPROT.RA);
}

function routeFromJson(fields: Fields): Route {
  const gateway = textOf(fields, "Gateway");
  const source = textOf(fields, "Source");
  const nextHops = listOf(fields.NextHops, "NextHops").map((hop) =>
    nextHopFromJson(fieldsOf(hop, "NextHops")),
  );
  const dest = textOf(fields, "Dest");
  const everywhere = dest === "" || dest === "default";
  // A destination has a family; everywhere has that of what leads there.
  const hints = everywhere ? [gateway, source, ...nextHops.map((hop) => hop.gateway)] : [dest];
  const six = hints.some((text) => text.includes(":"));
  const bare = dest.includes("/") ? dest : `${dest}/${six ? 128 : 32}`;
  return Route.create({
    destination: everywhere ? (six ? "::/0" : "0.0.0.0/0") : bare,
    family: six ? 6 : 4,
    gateway,
    device: textOf(fields, "Device"),
    source,
    scope: numberOf(fields, "Scope"),
    metric: numberOf(fields, "Metric"),
    mtu: numberOf(fields, "Mtu"),
    onLink: fields.OnLink === true,
    table: numberOf(fields, "Table", RT_TABLE.MAIN),
    protocol: numberOf(fields, "Protocol", RTPROT.BOOT),
    type: numberOf(fields, "Type", RTN.UNICAST),
    tos: numberOf(fields, "Tos"),
    preference: numberOf(fields, "Preference"),
    metrics: metricsOf(fields.Metrics ?? {}),
    nextHops,
  });
}

function nextHopFromJson(fields: Fields): NextHop {
  return {
    gateway: textOf(fields, "Gateway"),
    device: textOf(fields, "Device"),
    weight: numberOf(fields, "Weight", 1),
    onLink: fields.OnLink === true,
  };
}

/** By the kernel's number of each (RTAX_*). */
function metricsOf(json: unknown): Record<number, number> {
  const fields = fieldsOf(json, "Metrics");
  return Object.fromEntries(Object.keys(fields).map((type) => [Number(type), numberOf(fields, type)]));
}

export function routeToJson(route: Route): Fields {
  return {
    Dest: route.destination,
    Gateway: route.gateway,
    Device: route.device,
    Source: route.source,
    Scope: route.scope,
    Metric: route.metric,
    Mtu: route.mtu,
    OnLink: route.onLink,
    Table: route.table,
    Type: route.type,
    Protocol: route.protocol,
    Tos: route.tos,
    Preference: route.preference,
    Metrics: route.metrics,
    NextHops: route.nextHops.map(({ gateway, device, weight, onLink }) => ({
      ...{ Gateway: gateway, Device: device, Weight: weight, OnLink: onLink },
    })),
  };
}

export function neighborsFromJson(json: unknown): Neighbor[] {
  return listOf(json, "neighbours").map((entry) => {
    const fields = fieldsOf(entry, "neighbour");
    return Neighbor.create({
      address: textOf(fields, "Address"),
      device: textOf(fields, "Device"),
      mac: textOf(fields, "HwAddr").toLowerCase(),
    });
  });
}

export function neighborToJson({ address, device, mac, state }: Neighbor): Fields {
  return { Address: address, Device: device, HwAddr: mac, State: state };
}

function fieldsOf(json: unknown, what: string): Fields {
  if (typeof json === "object" && json !== null && !Array.isArray(json)) return { ...json };
  throw refusal(what, "it is no JSON object");
}

/** One alone stands for a list of one. */
function listOf(json: unknown, what: string): readonly unknown[] {
  if (Array.isArray(json)) return json;
  if (json === undefined || json === null) return [];
  if (typeof json === "object") return [json];
  throw refusal(what, "it is no JSON array");
}

function textOf(fields: Fields, key: string): string {
  const value = fields[key] ?? "";
  if (typeof value === "string") return value;
  throw refusal(key, "it is no text");
}

/** Kata wrote some numbers as text. */
function numberOf(fields: Fields, key: string, otherwise = 0): number {
  const value = Number(fields[key] ?? otherwise);
  if (Number.isInteger(value) && value >= 0) return value;
  throw refusal(key, "it is no whole number");
}

function refusal(object: string, cause: string): TapirError {
  return new TapirError({ code: Code.INVALID_ARGUMENT, operation: "read", object, cause });
}
