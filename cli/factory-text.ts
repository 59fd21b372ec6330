import type { TemplateStatus } from "../hypervisor/factory/status.ts";
import type { CacheStatus } from "../shim/factory/cache-status.ts";
import type { NodeFactoryStatus } from "../shim/factory/node-factory.ts";
import { table } from "./table.ts";

const MIB = 1024 * 1024;

/** The factory in words, for an operator. Pure. */
export function statusText({ directory, misfortune, templates, cache }: NodeFactoryStatus): string {
  const rows = templates.map((template) => [
    template.key.slice(0, 12),
    stateText(template),
    `${Math.round(template.allocatedBytes / MIB)} MiB`,
    age(template.ageSeconds),
    String(template.hits),
    template.qemuVersion ?? "-",
  ]);
  const missing = templates.some(({ state }) => state === "current")
    ? ""
    : "no template for pods of this configuration: the first one makes it\n";
  const failed = misfortune === undefined ? "" : `not long ago: ${misfortune.reason}\n`;
  const heads = ["TEMPLATE", "STATE", "SIZE", "AGE", "HITS", "QEMU"];
  const list = rows.length === 0 ? "" : table(heads, rows);
  return `${directory}\n${list}${missing}${failed}\nVM cache: ${cacheText(cache).join("\n  ")}\n`;
}

function stateText({ state, differs, damage }: TemplateStatus): string {
  if (damage !== undefined) return `${state}: ${damage}`;
  return differs.length === 0 ? state : `${state}: ${differs.join(", ")}`;
}

function cacheText({ state, socket, target, server, reason }: CacheStatus): string[] {
  if (server === undefined) {
    if (state === "off") return ["off, factory.cache_size is 0"];
    if (state === "silent") return [`what listens on ${socket} does not answer: ${reason}`];
    return [`nobody serves on ${socket}: systemctl start tapir-factory`];
  }
  const { ready, misfits, served, pid, uptimeSeconds, trouble } = server;
  const lines = [
    `${ready} of ${server.target} clones ready, ${served} taken; server ${pid}, up for ${age(uptimeSeconds)}`,
  ];
  const begun = "the server began with another configuration: systemctl restart tapir-factory";
  if (misfits > 0) lines.push(`${misfits} clones fit no pod of this configuration: ${begun}`);
  else if (server.target !== target) lines.push(`factory.cache_size is ${target}: ${begun}`);
  if (trouble !== undefined) lines.push(`no clone is made: ${trouble}`);
  return lines;
}

function age(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
