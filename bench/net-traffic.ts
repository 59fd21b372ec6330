import { type ChildProcessByStdio, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { inNetns } from "../sys/netns.ts";
import { findBusybox } from "../test/harness/pause-image.ts";
import { PORTS } from "./net-services.ts";
import type { Order } from "./net-work.ts";

/** Traffic from inside a network namespace, or a guest. */
export interface Traffic extends Disposable {
  run(what: Order["what"], address: string, ms: number): Promise<number>;
}

export function startTraffic(netns: string): Traffic {
  const program = join(import.meta.dirname, "net-client.ts");
  return trafficOf(netns, process.execPath, ["--no-warnings", program]);
}

/** Of the guest at that address, which runs bench/net-guest.ts; `netns` reaches it. */
export function trafficOfGuest(netns: string, address: string): Traffic {
  return trafficOf(netns, findBusybox(), ["nc", address, String(PORTS.orders)]);
}

function trafficOf(netns: string, command: string, args: readonly string[]): Traffic {
  const child: ChildProcessByStdio<Writable, Readable, null> = inNetns(netns, () =>
    spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] }),
  );
  child.stdin.on("error", () => undefined);
  const waiting: PromiseWithResolvers<number>[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    const { value, error } = JSON.parse(line) as { value?: number; error?: string };
    if (value === undefined) waiting.shift()?.reject(new Error(error));
    else waiting.shift()?.resolve(value);
  });
  child.once("exit", () => {
    for (const { reject } of waiting) reject(new Error("the traffic program has ended"));
  });
  return {
    run(what, address, ms) {
      const answer = Promise.withResolvers<number>();
      waiting.push(answer);
      child.stdin.write(`${JSON.stringify({ what, address, ms } satisfies Order)}\n`);
      return answer.promise;
    },
    [Symbol.dispose]: () => void child.kill("SIGKILL"),
  };
}
