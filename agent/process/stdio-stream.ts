import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { StdioRequest, StdioResponse } from "../../proto/gen/tapir/agent/v1/container.ts";
import type { Process } from "./process.ts";
import { countTraffic } from "./traffic.ts";

export type StdioCall = ServerDuplexStream<StdioRequest, StdioResponse>;

/**
 * Carries a process's streams over a call until the last output has ended, or the call breaks. Each side waits for the
 * other: output stays in the process's pipe while HTTP/2 takes no more, requests stay in HTTP/2's window while the
 * process does not read. Resolves when the call is over; rejects with the reason of `takenOver`.
 */
export function carryStdio(call: StdioCall, process: Process, takenOver: AbortSignal): Promise<void> {
  const { stdin, stdout, stderr } = process.io;
  const outputs = [stdout, stderr].filter((one) => one !== undefined);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let open = outputs.length;
  let drained = false;
  let over = false;

  const leave = (): void => {
    if (over) return;
    over = true;
    for (const one of outputs) one.leave();
    stdin?.leave();
    resolve();
  };
  /** Messages that HTTP/2 has not taken yet. */
  let unsent = 0;
  const taken = (): void => {
    unsent--;
    if (unsent === 0 && !over) for (const one of outputs) one.resume();
  };
  const send = (message: StdioResponse): void => {
    if (over) return;
    unsent++;
    call.write(message, taken);
  };
  /** One chunk at a time is on its way; it is encoded at once, unless another one is before it, and its memory used again. */
  const sendChunk = (name: "stdout" | "stderr", chunk: Buffer): boolean => {
    countTraffic(chunk.length);
    send({ [name]: unsent === 0 ? chunk : Buffer.from(chunk) });
    return false;
  };
  const finishWhenDone = (): void => {
    if (open > 0 || !drained || over) return;
    leave();
    call.end();
  };
  const ended = (message: StdioResponse): void => {
    send(message);
    open--;
    finishWhenDone();
  };

  takenOver.addEventListener("abort", () => {
    if (!over) reject(takenOver.reason);
    leave();
  });
  call.on("cancelled", leave);
  call.on("error", leave);
  call.on("close", leave);
  stdout?.listen({ data: (chunk) => sendChunk("stdout", chunk), end: () => ended({ stdoutEnd: true }) });
  stderr?.listen({ data: (chunk) => sendChunk("stderr", chunk), end: () => ended({ stderrEnd: true }) });

  stdin?.listen({
    room: () => call.resume(),
    closed: () => {
      send({ stdinClosed: true });
      call.resume();
    },
  });
  call.on("data", ({ stdin: chunk }: StdioRequest) => {
    countTraffic(chunk.length);
    if (!over && stdin !== undefined && chunk.length > 0 && !stdin.write(chunk)) call.pause();
  });
  call.on("end", () => {
    if (!over) stdin?.end();
  });

  call.resume();

  void process.exited.then(() =>
    process.io.whenGiven(() => {
      drained = true;
      send({ drained: true });
      finishWhenDone();
    }),
  );
  return promise;
}
