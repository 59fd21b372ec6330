import type { FactoryStatus, TemplateStatus } from "../hypervisor/factory/status.ts";
import { loadConfiguration } from "../shim/config/load.ts";
import { type NodeFactory, nodeFactory } from "../shim/factory/node-factory.ts";
import { table } from "./table.ts";

const MIB = 1024 * 1024;

/** `tapir factory init`: the template is there when this returns. */
export async function initFactory(): Promise<void> {
  const factory = ofThisNode();
  const startMs = performance.now();
  await factory.init();
  const { templates } = factory.status();
  const current = templates.find(({ state }) => state === "current");
  const size = Math.round((current?.allocatedBytes ?? 0) / MIB);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  process.stdout.write(`template ${current?.key}: ${size} MiB, ready after ${seconds} s\n`);
}

/** `tapir factory status`. */
export function showFactory(options: { readonly json?: boolean }): void {
  const status = ofThisNode().status();
  process.stdout.write(
    options.json === true ? `${JSON.stringify(status, undefined, 2)}\n` : statusText(status),
  );
}

/** `tapir factory destroy`. */
export async function destroyFactory(): Promise<void> {
  await ofThisNode().destroy();
}

function ofThisNode(): NodeFactory {
  return nodeFactory(loadConfiguration().configuration);
}

/** Pure. */
export function statusText({ directory, misfortune, templates }: FactoryStatus): string {
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
  return `${directory}\n${rows.length === 0 ? "" : table(heads, rows)}${missing}${failed}`;
}

function stateText({ state, differs }: TemplateStatus): string {
  return differs.length === 0 ? state : `${state}: ${differs.join(", ")}`;
}

function age(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
