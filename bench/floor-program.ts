import { closeSync, openSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { Greeting, GreetingAnswer } from "../proto/gen/tapir/agent/v1/agent.ts";
import { encodeFrame, readFrame } from "../proto/greeting.ts";
import { REHEARSAL, rehearsalNetwork } from "../shim/factory/rehearsal.ts";
import { guestRequest } from "../shim/sandbox/guest-request.ts";
import { startBareQemu } from "./bare-qemu.ts";
import type { FloorOrder } from "./floor.ts";

/**
 * The floor of a start: restores the saved guest with QEMU and gets one answer from its agent; no shim, no ledger, no
 * network, memory mapped and not copied. Prints the milliseconds it took, Node's own start not counted.
 */
const TAP_FD = 3;
const STATE_FD = 4;
const ANSWER_MS = 20_000;

/** Asks an agent that may not run yet; resolves with its answer. */
type Ask = (agentSocket: string) => Promise<void>;

/** What a pod's shim asks with: one frame there, one back; of a pod without a network. */
const byGreeting: Ask = (agentSocket) => {
  const createSandbox = guestRequest(REHEARSAL, rehearsalNetwork(undefined), ANSWER_MS);
  const greeting = Greeting.encode({ createSandbox, timeoutMilliseconds: ANSWER_MS }).finish();
  return new Promise((resolve, reject) => {
    const socket = connect(agentSocket);
    const frame = readFrame();
    socket.on("data", (chunk) => {
      const message = frame.pass(chunk);
      if (message === undefined) return;
      const { created, failure } = GreetingAnswer.decode(message);
      socket.destroy();
      if (created === undefined) reject(new Error(`the guest refuses: ${failure?.details}`));
      else resolve();
    });
    socket.once("error", reject).once("close", () => reject(new Error("the guest hung up")));
    socket.write(encodeFrame(greeting));
  });
};

/** The smallest question by gRPC. Loaded before time is taken, as all else. */
async function grpc(): Promise<Ask> {
  const { credentials } = await import("@grpc/grpc-js");
  const { AgentClient } = await import("../proto/gen/tapir/agent/v1/agent_service.ts");
  return async (agentSocket) => {
    const client = new AgentClient(`unix:${agentSocket}`, credentials.createInsecure());
    await new Promise<void>((resolve, reject) => {
      client.check({}, (error) => (error === null ? resolve() : reject(error)));
    });
    client.close();
  };
}

async function restoreOnce({ argv, agentSocket, state, device }: FloorOrder, ask: Ask): Promise<number> {
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
  await ask(agentSocket);
  const ms = performance.now() - started;
  closeSync(stateFd);
  await qemu.end();
  rmSync(agentSocket, { force: true });
  return ms;
}

const order = JSON.parse(process.argv[2] ?? "") as FloorOrder;
const ms = await restoreOnce(order, order.by === "grpc" ? await grpc() : byGreeting);
process.stdout.write(`${ms}\n`);
