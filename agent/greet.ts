import { Greeting, GreetingAnswer } from "../proto/gen/tapir/agent/v1/agent.ts";
import { deadlineIn } from "../sys/deadline.ts";
import { reasonOf, systemError } from "../sys/error.ts";
import { log } from "./log.ts";
import type { Service } from "./service.ts";
import { toStatus } from "./status.ts";

/** Answers a greeting: CreateSandbox without gRPC. `signal` aborts when the host is gone. Never rejects. */
export async function greet(
  { createSandbox }: Service,
  message: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const arrived = process.hrtime.bigint();
  try {
    const { createSandbox: request, timeoutMilliseconds } = Greeting.decode(message);
    if (request === undefined) throw systemError("EINVAL", { operation: "accept", object: "greeting" });
    using deadline = deadlineIn(timeoutMilliseconds, "create sandbox", signal);
    const created = await createSandbox(request, { deadline, arrived });
    return GreetingAnswer.encode({ created, failure: undefined }).finish();
  } catch (error) {
    log("greeting failed", { error: reasonOf(error) });
    const { code, details, metadata } = toStatus(error);
    const texts = Object.entries(metadata.getMap()).map(([name, value]) => [name, String(value)]);
    const failure = { code, details, metadata: Object.fromEntries(texts) };
    return GreetingAnswer.encode({ created: undefined, failure }).finish();
  }
}
