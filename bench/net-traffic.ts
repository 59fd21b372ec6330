import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { inNetns } from "../sys/netns.ts";
import type { Order } from "./net-client.ts";

/** Traffic from inside a network namespace. */
export interface Traffic extends Disposable {
  run(what: Order["what"], address: string, ms: number): Promise<number>;
}

export function startTraffic(netns: string): Traffic {
  const program = join(import.meta.dirname, "net-client.ts");
  const child = inNetns(netns, () =>
    spawn(process.execPath, ["--no-warnings", program], { stdio: ["pipe", "pipe", "inherit"] }),
  );
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
