import { connect, type Socket } from "node:net";
import {
  type CreateSandboxRequest,
  type CreateSandboxResponse,
  Greeting,
  GreetingAnswer,
} from "../proto/gen/tapir/agent/v1/agent.ts";
import { encodeFrame, readFrame } from "../proto/greeting.ts";
import type { Deadline } from "../sys/deadline.ts";
import { type TapirError, wrapError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";
import { failureError } from "./guest-error.ts";

const OPERATION = "configure";

/** What a guest answers to a greeting: what it did, or why it did not. */
export type Greeted = { readonly created: CreateSandboxResponse } | { readonly refused: TapirError };

/**
 * CreateSandbox as the first words to a restored guest (Greeting in agent.proto), over a connection of its own. QEMU holds
 * what is sent until the guest reads. Rejects when there is no answer: with the deadline's error, or UNAVAILABLE.
 */
export async function greet(
  socketPath: string,
  createSandbox: CreateSandboxRequest,
  deadline: Deadline,
): Promise<Greeted> {
  const timeoutMilliseconds = Math.round(deadline.remainingMs());
  const greeting = Greeting.encode({ createSandbox, timeoutMilliseconds }).finish();
  const socket = connect(socketPath);
  try {
    const { created, failure } = await deadline.race(answerTo(socket, encodeFrame(greeting)));
    if (created !== undefined) return { created };
    const said = failure ?? { code: Code.UNKNOWN, details: "it said nothing", metadata: {} };
    return { refused: failureError(OPERATION, said) };
  } finally {
    socket.destroy();
  }
}

function answerTo(socket: Socket, greeting: Buffer): Promise<GreetingAnswer> {
  return new Promise((resolve, reject) => {
    const frame = readFrame();
    const lose = (cause: unknown): void =>
      reject(wrapError(cause, { code: Code.UNAVAILABLE, operation: OPERATION, object: "the guest" }));
    socket.on("data", (chunk) => {
      try {
        const message = frame.pass(chunk);
        if (message !== undefined) resolve(GreetingAnswer.decode(message));
      } catch (error) {
        lose(error);
      }
    });
    socket.once("error", lose).once("close", () => lose("it hung up"));
    socket.write(greeting);
  });
}
