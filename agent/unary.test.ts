import { EventEmitter } from "node:events";
import type { ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import test from "ava";
import { unary } from "./unary.ts";

/** What of a call the agent looks at. */
function callWith(deadline: number): ServerUnaryCall<string, number> {
  const call = Object.assign(new EventEmitter(), { request: "", getDeadline: () => deadline });
  return call as unknown as ServerUnaryCall<string, number>;
}

function leftFor(deadline: number): Promise<number> {
  const handler = unary<string, number>("answer", async (_, { deadline: own }) => {
    own.signal.throwIfAborted();
    return own.remainingMs();
  });
  return new Promise((resolve, reject) => {
    const answer: sendUnaryData<number> = (error, left) => (error ? reject(error) : resolve(left ?? 0));
    handler(callWith(deadline), answer);
  });
}

test("a call has the time that its caller gave it", async (t) => {
  const left = await leftFor(Date.now() + 5000);
  t.true(left > 0 && left <= 5000);
});

test("a call that came before the guest's clock was set is not over when it begins", async (t) => {
  t.true((await leftFor(Date.now() - 42_000)) > 0);
});
