import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { connectAgent } from "../../shim/agent-client.ts";
import { stateDirectoryFile } from "../../shim/bundle-files.ts";
import type { CreatedPod, Pod, PodContext } from "../../shim/sandbox/pod.ts";
import type { Ledger } from "../../sys/ledger.ts";
import { openLedger } from "../../sys/ledger.ts";
import { identify, PROCESS_TOKEN } from "../../sys/process.ts";
import { serveFakeAgent } from "./agent/agent.ts";
import { sameSize } from "./guest.ts";
import { fakeStorage } from "./storage.ts";

const LIMITS = { createMs: 10_000, requestMs: 5_000 };

/**
 * A pod without a VM: `sleep` stands for QEMU, and containers run beside it. Everything around it is real, the ledger included, so a bundle of the
 * shim with this module in it shows how containerd and the shim deal with each other, in milliseconds.
 * Annotations make it misbehave: `io.tapir.fake.create` = "fail" or "hang".
 */
export function openSandbox(context: PodContext): Pod {
  const { spec } = context;
  let ledger: Ledger | undefined;
  let child: ReturnType<typeof spawn> | undefined;
  let exited: CreatedPod["exited"] | undefined;

  return {
    async create(deadline) {
      const directory = join(process.env.TAPIR_FAKE_STATE ?? "/run/tapir-fake", spec.namespace, spec.id);
      stateDirectoryFile.write(spec.bundle, directory);
      ledger = openLedger(directory, { onHelpless: context.onHelpless });
      try {
        const token = `fake-${spec.id}`;
        const { value } = await ledger.acquire("fake.vm", { kind: "process", token }, async ({ amend }) => {
          child = spawn("sleep", ["infinity"], {
            stdio: "ignore",
            env: { ...process.env, [PROCESS_TOKEN]: token },
          });
          exited = once(child, "exit").then(([code, signal]) => ({
            status: code ?? 137,
            reason: `sleep ended with ${code ?? signal}`,
          }));
          await once(child, "spawn");
          const identity = identify(child.pid ?? 0);
          if (identity === undefined) throw new Error("sleep is gone");
          amend({ kind: "process", token, ...identity });
          return { pid: identity.pid, exited };
        });
        const mode = spec.annotations["io.tapir.fake.create"];
        if (mode === "fail") throw new Error("told to fail");
        if (mode === "hang") await deadline.race(new Promise<never>(() => undefined));
        const socket = join(directory, "agent.sock");
        const stopServing = await serveFakeAgent(socket);
        const agent = connectAgent(socket);
        void value.exited?.then(() => {
          stopServing();
          agent[Symbol.dispose]();
        });
        const guest = {
          containers: agent.containers,
          storage: fakeStorage(ledger),
          size: sameSize,
          ledger,
          limits: LIMITS,
        };
        return { ...value, guest };
      } catch (error) {
        await ledger.unwind();
        throw error;
      }
    },
    async start() {},
    async stop(deadline) {
      child?.kill("SIGKILL");
      if (exited !== undefined) await deadline.race(exited);
    },
    async close() {
      await ledger?.unwind();
    },
  };
}
