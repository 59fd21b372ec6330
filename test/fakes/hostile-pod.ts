import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import * as api from "../../proto/gen/tapir/agent/v1/container.ts";
import type { GuestContainers } from "../../shim/containers-client.ts";
import type { Lies } from "./hostile-agent.ts";
import { startTaskShim } from "./task-shim.ts";

/** What a guest answers that only lies about other things. */
export const honest = {
  createContainer: (_, answer) => answer(null, api.CreateContainerResponse.fromPartial({ pid: 1 })),
  startContainer: (_, answer) => answer(null, {}),
  signalProcess: (_, answer) => answer(null, {}),
  removeContainer: (_, answer) => answer(null, {}),
  removeProcess: (_, answer) => answer(null, {}),
} satisfies Lies;

export type HostilePod = Awaited<ReturnType<typeof hostilePod>>;

/** A sandbox that runs, behind the real Task service; its containers are made by `createContainer`, in a guest of `containers`. */
export async function hostilePod(t: ExecutionContext, containers: GuestContainers) {
  const shim = await startTaskShim(t, {}, containers);
  shim.created.resolve();
  await shim.create();
  await shim.call("start", { id: "pod" });
  const bundle = mkdtempSync(join(tmpdir(), "lies-"));
  t.teardown(() => rmSync(bundle, { recursive: true }));
  mkdirSync(join(bundle, "rootfs"));
  const annotations = {
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.sandbox-id": "pod",
  };
  const spec = { annotations, process: { args: ["sh"] }, root: { path: "rootfs" } };
  writeFileSync(join(bundle, "config.json"), JSON.stringify(spec));
  const createContainer = (stdout = "") => shim.call("create", { id: "c", bundle, stdout });
  return { ...shim, bundle, createContainer };
}
