import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { step } from "../setup/step.ts";
import type { Deadline } from "../sys/deadline.ts";
import type { TestNode } from "../test/harness/node.ts";

/** Starts the same pod twice, by a boot and from the template, and shows the two side by side. */
export async function compareStarts(node: TestNode, deadline: Deadline): Promise<void> {
  const dropIn = join(node.directory, "config.d/60-boot.toml");
  mkdirSync(dirname(dropIn), { recursive: true });
  writeFileSync(dropIn, "[factory]\ntemplate = false\n");
  let bootedMs: number;
  try {
    bootedMs = await timePod(node, "booted", deadline);
  } finally {
    rmSync(dropIn);
  }
  const restoredMs = await timePod(node, "restored", deadline);
  process.stdout.write(
    `        booted ${(bootedMs / 1000).toFixed(2)} s, restored ${(restoredMs / 1000).toFixed(2)} s: ` +
      `${(bootedMs / restoredMs).toFixed(1)} times as fast\n`,
  );
}

/** Milliseconds until a pod that nobody needs answers on its first address. */
async function timePod(node: TestNode, name: string, deadline: Deadline): Promise<number> {
  let tookMs = 0;
  await step(`a pod that is ${name} answers`, async () => {
    const started = performance.now();
    const id = await node.crictl.runp(node.podConfig(name), "tapir", deadline);
    const [address = ""] = (await node.crictl.inspectp(id, deadline)).addresses;
    await node.ping(address, deadline);
    tookMs = performance.now() - started;
    await node.crictl.stopp(id, deadline);
    await node.crictl.rmp(id, deadline);
    return undefined;
  });
  return tookMs;
}
