import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { WARM_MAC } from "../hypervisor/factory/key.ts";
import { networkDevice } from "../hypervisor/qemu/devices.ts";
import { closeAll } from "../sys/fdpass.ts";
import { inFreshNetns } from "../sys/netns.ts";
import { openTap } from "../sys/tap.ts";
import type { Arm } from "./measure.ts";
import { listProcesses } from "./pss.ts";

const RESTORE_MS = 20_000;

/** What the floor's program is told. */
export interface FloorOrder {
  /** How it asks the guest. */
  readonly by: "greeting" | "grpc";
  readonly argv: readonly string[];
  readonly agentSocket: string;
  /** Path of the saved devices. */
  readonly state: string;
  /** The NIC the guest was saved with. */
  readonly device: Readonly<Record<string, unknown>>;
}

/** The arms and how they ask: as a pod's shim does, and by gRPC, which a pod's start does without. */
export const FLOORS = { floor: "greeting", "floor+grpc": "grpc" } as const;

/**
 * The arms that restore the guest that a running pod was restored from, by the command line of that pod's QEMU, with nothing
 * else. Give it the pod's id; the pod may go afterwards.
 */
export function floorArms(
  store: string,
  podId: string,
  directory: string,
): Disposable & { readonly arms: readonly Arm[] } {
  const order = floorOrder(store, podId, directory);
  const tapFds = inFreshNetns(() => openTap({ netns: "/proc/thread-self/ns/net", name: "tap0", queues: 1 }));
  return {
    arms: Object.entries(FLOORS).map(([name, by]) => ({
      name,
      run: async () => ({ answeredMs: await runFloor({ ...order, by }, tapFds) }),
    })),
    [Symbol.dispose]: () => closeAll(tapFds),
  };
}

/** Milliseconds from QEMU's start to the guest's answer. */
async function runFloor(order: FloorOrder, tapFds: readonly number[]): Promise<number> {
  const program = join(import.meta.dirname, "floor-program.ts");
  const args = ["--no-warnings", program, JSON.stringify(order)];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "pipe", ...tapFds],
    timeout: RESTORE_MS,
  });
  const said = async (stream: Readable | null): Promise<string> => (stream === null ? "" : text(stream));
  const [out, complaint, [code]] = await Promise.all([
    said(child.stdout),
    said(child.stderr),
    once(child, "exit"),
  ]);
  if (code !== 0) throw new Error(`cannot restore the bare guest: ${complaint.trim().slice(-1000)}`);
  return Number(out);
}

function floorOrder(store: string, podId: string, directory: string): Omit<FloorOrder, "by"> {
  const name = `tapir-${podId}`;
  const qemu = listProcesses().find(
    ({ argv }) =>
      argv.some((word) => word.includes("qemu-system")) && argv.some((word) => word.includes(name)),
  );
  if (qemu === undefined) throw new Error(`cannot find the QEMU of pod ${podId}`);
  const template = join(store, readdirSync(store).find((one) => /^[0-9a-f]{32}$/.test(one)) ?? "");
  const agentSocket = join(directory, "floor.sock");
  return {
    argv: bareArguments(qemu.argv, join(template, "memory"), agentSocket),
    agentSocket,
    state: join(template, "state"),
    device: networkDevice({ id: "warm", netdev: "warm", mac: WARM_MAC, port: "rp0", queues: 1 }),
  };
}

/** The pod's command line without what it inherited: no monitor, nobody at the console, the saved memory mapped privately. */
export function bareArguments(argv: readonly string[], memory: string, agentSocket: string): string[] {
  const own = argv.slice(argv.findIndex((word) => word.includes("qemu-system")) + 1);
  return own.map((word) => {
    if (/^socket,id=qmp,/.test(word)) return "null,id=qmp";
    if (/^socket,id=console,/.test(word)) return "null,id=console,mux=on";
    if (/^socket,id=agent,/.test(word)) return `socket,id=agent,path=${agentSocket},server=on,wait=off`;
    if (/id=ram,/.test(word)) {
      const size = /size=\w+/.exec(word)?.[0];
      return `memory-backend-file,id=ram,${size},mem-path=${memory},share=off`;
    }
    return word;
  });
}
