import type { Deadline } from "../sys/deadline.ts";
import { reasonOf } from "../sys/error.ts";
import { type BenchNode, GUEST_TTL } from "./bench-node.ts";
import { requireKind } from "./came-as.ts";
import { firstAnswer, watchAddresses } from "./first-answer.ts";
import { addressStore, stepsOf } from "./pod-start.ts";

/** Several pods that were told to start at the same moment; milliseconds since then. */
export interface Burst {
  /** When each crictl had its answer; only pods that came up. */
  readonly runpMs: readonly number[];
  /** When each guest answered on its address, in no order. */
  readonly answeredMs: readonly number[];
  /** One sentence each. */
  readonly failures: readonly string[];
}

/** Many ask at once: seldom enough not to be the load that is measured. */
const INTERVAL_MS = 20;

/** Starts `count` pods at once, from a template with a warm NIC, and waits until every guest has answered. The pods stay. */
export async function startBurst(
  node: BenchNode,
  name: string,
  count: number,
  deadline: Deadline,
): Promise<Burst> {
  const answers: Promise<number>[] = [];
  const failures: string[] = [];
  const stopWatching = watchAddresses(addressStore(node), ({ address }) => {
    const options = { ttl: GUEST_TTL, intervalMs: INTERVAL_MS };
    const answer = firstAnswer(node.netns, address, options, deadline);
    answer.catch(() => undefined);
    answers.push(answer);
  });
  const started = performance.now();
  const runs = Array.from({ length: count }, async (_, index) => {
    const id = await node.crictl.runp(node.podConfig(`${name}-${index}`), "tapir", deadline);
    const ms = performance.now() - started;
    requireKind("warm", stepsOf(node, id));
    return ms;
  });
  const runpMs = await settled(runs, failures);
  const answered = await settled(answers, failures);
  stopWatching();
  if (answered.length < count) failures.push(`${answered.length} of ${count} pods answered`);
  return { runpMs, answeredMs: answered.map((at) => at - started), failures };
}

async function settled(promises: readonly Promise<number>[], failures: string[]): Promise<number[]> {
  const results = await Promise.allSettled(promises);
  return results.flatMap((result) => {
    if (result.status === "fulfilled") return [result.value];
    failures.push(reasonOf(result.reason));
    return [];
  });
}
