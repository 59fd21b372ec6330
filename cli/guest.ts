import { printable } from "../sys/printable.ts";
import { askGuest, type GuestView } from "./management-client.ts";
import { findSandbox } from "./sandboxes.ts";
import { table } from "./table.ts";

/** `tapir guest`: what the guest says of itself, right now. */
export async function showGuest(prefix: string, options: { readonly json?: boolean }): Promise<void> {
  const view = await askGuest(findSandbox(prefix).directory);
  const text =
    options.json === true
      ? JSON.stringify(view, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value), 2)
      : guestText(view);
  process.stdout.write(`${text}\n`);
}

/** Pure. */
export function guestText({ details, interfaces, routes, neighbors }: GuestView): string {
  const nics = interfaces.map(({ name, mac, mtu, up, addresses }) => [
    name,
    mac,
    String(mtu),
    up ? "up" : "down",
    addresses.map(({ address, prefixLength }) => `${address}/${prefixLength}`).join(" "),
  ]);
  return [
    `${printable(`${details.hostname}: Linux ${details.kernelRelease} ${details.architecture}`)}, ` +
      `${details.vcpus} vCPU, up ${details.uptimeSeconds.toFixed(1)} s\n`,
    table(["INTERFACE", "MAC", "MTU", "STATE", "ADDRESSES"], nics),
    table(
      ["ROUTE", "VIA", "DEVICE", "SOURCE", "METRIC"],
      routes.map(({ destination, gateway, device, source, metric }) => [
        destination,
        gateway || "-",
        device || "-",
        source || "-",
        String(metric),
      ]),
    ),
    table(
      ["NEIGHBOUR", "MAC", "DEVICE"],
      neighbors.map(({ address, mac, device }) => [address, mac || "-", device]),
    ),
  ].join("\n");
}
