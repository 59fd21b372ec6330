import type { handleBidiStreamingCall, ServerDuplexStream } from "@grpc/grpc-js";
import { reasonOf, TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";
import { log } from "./log.ts";
import { toStatus } from "./status.ts";

/**
 * A stream both ways as grpc-js wants it, whose first message says what it is for. `carry` gets the call paused and
 * with nobody listening; what it throws becomes the status.
 */
export function streaming<Request, Response>(
  name: string,
  carry: (call: ServerDuplexStream<Request, Response>, first: Request) => Promise<void>,
): handleBidiStreamingCall<Request, Response> {
  return (call) => {
    const fail = (error: unknown): void => {
      log("call failed", { method: name, error: reasonOf(error) });
      call.emit("error", toStatus(error));
    };
    const onEmpty = (): void => fail(nothingAsked(name));
    call.once("end", onEmpty);
    call.once("data", (first: Request) => {
      call.off("end", onEmpty);
      // What comes behind it waits for its reader.
      call.pause();
      run(call, first).catch(fail);
    });
  };

  async function run(call: ServerDuplexStream<Request, Response>, first: Request): Promise<void> {
    await carry(call, first);
  }
}

function nothingAsked(name: string): TapirError {
  return new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "begin",
    object: name,
    cause: "the stream ended before its first message",
  });
}
