import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BUILT, built } from "../test/harness/project.ts";
import type { Arm } from "./measure.ts";

/**
 * Two arms: the wall time of the shim's `start`, as containerd waits for it with every pod, and of an empty program of
 * the same Node. Neither needs a pod.
 */
export function shimStartArms(): Disposable & { readonly arms: readonly Arm[] } {
  const directory = mkdtempSync(join(tmpdir(), "tapir-bench-"));
  const shim = built(join(BUILT.shim, "containerd-shim-tapir-v2"));
  const env = { ...cleanEnvironment(), TAPIR_SOCKET_DIR: join(directory, "s") };
  const start = async (round: number): Promise<Record<string, number>> => {
    const id = `bench-${round}`;
    const bundle = join(directory, id);
    mkdirSync(bundle);
    const annotations = { "io.kubernetes.cri.container-type": "sandbox" };
    writeFileSync(join(bundle, "config.json"), JSON.stringify({ ociVersion: "1.0.2", annotations }));
    const flags = ["-namespace", "bench", "-id", id, "-address", join(directory, "containerd.sock")];
    const startMs = await wallMs(shim, [...flags, "start"], { cwd: bundle, env });
    // Ends the server that `start` left behind.
    const deleteMs = await wallMs(shim, [...flags, "-bundle", bundle, "delete"], { cwd: bundle, env });
    return { startMs, deleteMs };
  };
  return {
    arms: [
      { name: "shim start", run: start },
      {
        name: "node -e 0",
        run: async () => ({ wallMs: await wallMs(process.execPath, ["-e", "0"], { env }) }),
      },
    ],
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** Settings for Node in the caller's environment slow some Nodes down and not others. */
export function cleanEnvironment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value === undefined || name.startsWith("NODE_") ? [] : [[name, value]],
    ),
  );
}

async function wallMs(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env: Record<string, string> },
): Promise<number> {
  const started = performance.now();
  const child = spawn(command, args, { ...options, stdio: ["ignore", "ignore", "inherit"] });
  const [code] = await once(child, "exit");
  const ms = performance.now() - started;
  if (code !== 0) throw new Error(`cannot run ${command} ${args.at(-1)}: it ended with ${code}`);
  return ms;
}
