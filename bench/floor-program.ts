import { closeSync, openSync, rmSync } from "node:fs";
import { credentials } from "@grpc/grpc-js";
import { AgentClient } from "../proto/gen/tapir/agent/v1/agent_service.ts";
import { startBareQemu } from "./bare-qemu.ts";
import type { FloorOrder } from "./floor.ts";

/**
 * The floor of a start: restores the saved guest with QEMU and gets one answer from its agent; no shim, no ledger, no
 * network, memory mapped and not copied. Prints the milliseconds it took, Node's own start not counted.
 */
const TAP_FD = 3;
const STATE_FD = 4;

async function restoreOnce({ argv, agentSocket, state, device }: FloorOrder): Promise<number> {
  const started = performance.now();
  const stateFd = openSync(state, "r");
  const qemu = await startBareQemu(argv, [TAP_FD, stateFd]);
  const loaded = qemu.event("MIGRATION", { status: "completed" });
  await Promise.all([
    qemu.execute("netdev_add", { type: "tap", id: "warm", fd: String(TAP_FD) }),
    qemu.execute("device_add", { ...device, netdev: "warm" }),
    qemu.execute("migrate-set-capabilities", {
      capabilities: ["x-ignore-shared", "events"].map((capability) => ({ capability, state: true })),
    }),
    qemu.execute("migrate-incoming", { uri: `fd:${STATE_FD}` }),
  ]);
  await loaded;
  // Not waited for: what the agent is told lies in its socket until then.
  void qemu.execute("cont");
  const client = new AgentClient(`unix:${agentSocket}`, credentials.createInsecure());
  await new Promise<void>((resolve, reject) => {
    client.check({}, (error) => (error === null ? resolve() : reject(error)));
  });
  const ms = performance.now() - started;
  client.close();
  closeSync(stateFd);
  await qemu.end();
  rmSync(agentSocket, { force: true });
  return ms;
}

const ms = await restoreOnce(JSON.parse(process.argv[2] ?? "") as FloorOrder);
process.stdout.write(`${ms}\n`);
