import { type Interface, Neighbor, Route } from "../../proto/gen/tapir/agent/v1/agent.ts";
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

export function routesFromJson(json: unknown): Route[] {
  return listOf(json, "routes").map((entry) => {
    const fields = fieldsOf(entry, "route");
    const gateway = textOf(fields, "Gateway");
    const dest = textOf(fields, "Dest");
    const six = `${dest}${gateway}`.includes(":");
    const everywhere = dest === "" || dest === "default";
    const bare = dest.includes("/") ? dest : `${dest}/${six ? 128 : 32}`;
    return Route.create({
      destination: everywhere ? (six ? "::/0" : "0.0.0.0/0") : bare,
      family: six ? 6 : 4,
      gateway,
      device: textOf(fields, "Device"),
      source: textOf(fields, "Source"),
      scope: numberOf(fields, "Scope"),
      metric: numberOf(fields, "Metric"),
      mtu: numberOf(fields, "Mtu"),
      onLink: fields.OnLink === true,
      table: RT_TABLE.MAIN,
      protocol: RTPROT.BOOT,
      type: RTN.UNICAST,
    });
  });
}

export function routeToJson({
  destination,
  gateway,
  device,
  source,
  scope,
  metric,
  mtu,
  onLink,
}: Route): Fields {
  return {
    Dest: destination,
    Gateway: gateway,
    Device: device,
    Source: source,
    Scope: scope,
    Metric: metric,
    Mtu: mtu,
    OnLink: onLink,
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
function numberOf(fields: Fields, key: string): number {
  const value = Number(fields[key] ?? 0);
  if (Number.isInteger(value) && value >= 0) return value;
  throw refusal(key, "it is no whole number");
}

function refusal(object: string, cause: string): TapirError {
  return new TapirError({ code: Code.INVALID_ARGUMENT, operation: "read", object, cause });
}
