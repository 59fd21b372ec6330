import { readFileSync } from "node:fs";
import type { Interface, Neighbor, Route } from "../../proto/gen/tapir/agent/v1/agent.ts";
import type { InterfacesResponse } from "../../proto/gen/tapir/management/v1/management.ts";
import { wrapError } from "../../sys/error.ts";
import { RT_TABLE, RTN } from "../../sys/netlink/records.ts";
import { printable } from "../../sys/printable.ts";
import { connectManagement, type ManagementConnection, methods } from "../management-client.ts";
import { findSandbox } from "../sandboxes.ts";
import { table } from "../table.ts";
import {
  interfaceFromJson,
  interfaceToJson,
  NO_LIMITS,
  neighborsFromJson,
  neighborToJson,
  routesFromJson,
  routeToJson,
} from "./kata-json.ts";

export interface Output {
  readonly json?: boolean;
}

export async function listInterfaces(pod: string, output: Output): Promise<void> {
  showInterfaces(await asked(pod, (call) => call(methods.listInterfaces, {})), output);
}

export async function listRoutes(pod: string, output: Output): Promise<void> {
  showRoutes(await asked(pod, async (call) => (await call(methods.listRoutes, {})).routes), output);
}

export async function listNeighbors(pod: string, output: Output): Promise<void> {
  showNeighbors(await asked(pod, async (call) => (await call(methods.listNeighbors, {})).neighbors), output);
}

/** add-iface, update-iface, del-iface: prints the interfaces that the guest has then. */
export async function changeInterface(
  verb: "addInterface" | "updateInterface" | "removeInterface",
  pod: string,
  file: string,
  output: Output,
): Promise<void> {
  const wish = interfaceFromJson(readJson(file));
  showInterfaces(await asked(pod, (call) => call(methods[verb], wish)), output);
}

export async function updateRoutes(pod: string, file: string, output: Output): Promise<void> {
  const routes = routesFromJson(readJson(file));
  showRoutes(await asked(pod, async (call) => (await call(methods.updateRoutes, { routes })).routes), output);
}

export async function addNeighbors(pod: string, file: string, output: Output): Promise<void> {
  const neighbors = neighborsFromJson(readJson(file));
  const request = { neighbors, exactly: false };
  showNeighbors(
    await asked(pod, async (call) => (await call(methods.addNeighbors, request)).neighbors),
    output,
  );
}

/** Nothing (as JSON: an empty list) when netns and guest are equal; else a line for each difference, and exit code 1. */
export async function showDifference(pod: string, { json }: Output): Promise<void> {
  const lines = await asked(pod, async (call) => (await call(methods.getNetworkDifference, {})).lines);
  const text = lines.map((line) => `${printable(line)}\n`).join("");
  process.stdout.write(json === true ? `${JSON.stringify(lines, undefined, 2)}\n` : text);
  if (lines.length > 0) process.exitCode = 1;
}

/** Asks the shim of the one pod whose id begins with `pod`. */
export async function asked<T>(
  pod: string,
  ask: (call: ManagementConnection["call"]) => Promise<T>,
): Promise<T> {
  using connection = await connectManagement(findSandbox(pod).directory);
  return await ask(connection.call);
}

/** "-" is the standard input. */
function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file === "-" ? 0 : file, "utf8"));
  } catch (error) {
    throw wrapError(error, { operation: "read", object: file === "-" ? "the standard input" : file });
  }
}

function showInterfaces({ interfaces, limits }: InterfacesResponse, output: Output): void {
  const limitsOf = ({ mac }: Interface) => limits.find((one) => one.mac === mac) ?? NO_LIMITS;
  const rows = interfaces.map((one) => {
    const { name, mac, mtu, up, addresses } = one;
    const { rxRateLimiterMaxRate: rx, txRateLimiterMaxRate: tx } = limitsOf(one);
    const prefixes = addresses.map(({ address, prefixLength }) => `${address}/${prefixLength}`).join(" ");
    return [name, mac, String(mtu), up ? "up" : "down", rateText(rx), rateText(tx), prefixes];
  });
  const json = interfaces.map((one) => interfaceToJson(one, limitsOf(one)));
  show(output, json, ["INTERFACE", "MAC", "MTU", "STATE", "RX LIMIT", "TX LIMIT", "ADDRESSES"], rows);
}

const rateText = (bitsPerSecond: bigint): string => (bitsPerSecond === 0n ? "-" : `${bitsPerSecond} bit/s`);

function showRoutes(routes: readonly Route[], output: Output): void {
  const rows = routes.map((route) => {
    const { destination, source, metric, table: number, type, nextHops } = route;
    const hops = nextHops.length > 0 ? nextHops : [route];
    const each = (key: "gateway" | "device"): string => hops.map((hop) => hop[key] || "-").join(", ");
    const texts = [destination, each("gateway"), each("device"), source || "-", String(metric)];
    return [...texts, nameIn(RT_TABLE, number), nameIn(RTN, type)];
  });
  const heads = ["ROUTE", "VIA", "DEVICE", "SOURCE", "METRIC", "TABLE", "TYPE"];
  show(output, routes.map(routeToJson), heads, rows);
}

/** As `ip` calls it; a number that has no name is its own. */
function nameIn(names: Readonly<Record<string, number>>, number: number): string {
  const found = Object.entries(names).find(([, value]) => value === number);
  return found === undefined ? String(number) : found[0].toLowerCase();
}

function showNeighbors(neighbors: readonly Neighbor[], output: Output): void {
  const rows = neighbors.map(({ address, mac, device }) => [address, mac || "-", device]);
  show(output, neighbors.map(neighborToJson), ["NEIGHBOUR", "MAC", "DEVICE"], rows);
}

function show(
  { json }: Output,
  values: readonly unknown[],
  heads: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  process.stdout.write(json === true ? `${JSON.stringify(values, undefined, 2)}\n` : table(heads, rows));
}
