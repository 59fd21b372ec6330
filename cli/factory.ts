import { loadConfiguration } from "../shim/config/load.ts";
import { type NodeFactory, nodeFactory } from "../shim/factory/node-factory.ts";
import { statusText } from "./factory-text.ts";

const MIB = 1024 * 1024;

/** `tapir factory init`: the template is there when this returns. */
export async function initFactory(): Promise<void> {
  const factory = ofThisNode();
  const startMs = performance.now();
  await factory.init();
  const { templates } = await factory.status();
  const current = templates.find(({ state }) => state === "current");
  const size = Math.round((current?.allocatedBytes ?? 0) / MIB);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  process.stdout.write(`template ${current?.key}: ${size} MiB, ready after ${seconds} s\n`);
}

/** `tapir factory status`. */
export async function showFactory(options: { readonly json?: boolean }): Promise<void> {
  const status = await ofThisNode().status();
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
