import { setTimeout as pause } from "node:timers/promises";
import type { ServiceError } from "@grpc/grpc-js";
import type { StdioResponse } from "../../proto/gen/tapir/agent/v1/container.ts";
import { Code } from "../../sys/status.ts";
import type { GuestContainers, ProcessKey, StdioStream } from "../containers-client.ts";
import type { Log } from "../log.ts";
import type { OpenStdio } from "./open.ts";
import { countTraffic } from "./traffic.ts";

/** The way of a process's bytes, between the host's streams and the guest. */
export interface Pump {
  /** Resolves when all that the process itself wrote has reached the host's streams, or nothing more will come. */
  readonly drained: Promise<void>;
  /** Bytes moved so far, both ways: whether something still happens. */
  readonly moved: number;
  /** Output has come from the guest that the host's streams have not taken yet. */
  readonly waitsForReader: boolean;
  /** Ends everything; what is still on its way is dropped. Idempotent. */
  close(): Promise<void>;
}

const RETRY_MS = 100;

interface Connection {
  readonly stream: StdioStream;
  /** Resolves when it has ended, well or badly. */
  readonly over: Promise<void>;
}

/**
 * Carries the bytes with the reader's speed, one chunk at a time in each direction: who does not read holds back the
 * process, not memory. A connection that breaks is made again, and the guest goes on with what it has not sent yet: what was
 * on its way between the two, either way, may be lost.
 */
export function startPump(
  guest: Pick<GuestContainers, "stdio">,
  key: ProcessKey,
  streams: OpenStdio,
  log: Pick<Log, "warn">,
): Pump {
  const drained = Promise.withResolvers<void>();
  const ended = new AbortController();
  let moved = 0;
  let current = Promise.withResolvers<Connection>();
  /** Why the connection before this one broke, until this one works. */
  let broken: unknown;
  let taking = false;
  let stdinEnded = streams.stdin === undefined;

  const carried = (bytes: number): void => {
    moved += bytes;
    countTraffic(bytes);
  };
  const receive = async ({ stdout, stderr, ...told }: StdioResponse): Promise<void> => {
    if (broken !== undefined) {
      const text = "the streams of a process were connected anew: what was on its way may be lost";
      log.warn(text, { ...key, error: broken });
      broken = undefined;
    }
    taking = true;
    if (stdout !== undefined) await streams.stdout?.write(stdout);
    if (stderr !== undefined) await streams.stderr?.write(stderr);
    taking = false;
    carried((stdout?.length ?? 0) + (stderr?.length ?? 0));
    // With one target for both, it ends with the last of them.
    const shared = streams.stdout === streams.stderr;
    if (told.stdoutEnd && !shared) await streams.stdout?.close();
    if (told.stderrEnd && !shared) await streams.stderr?.close();
    if (told.stdinClosed) streams.stdin?.close();
    if (told.drained) drained.resolve();
  };

  const connection = async (): Promise<void> => {
    const stream = await guest.stdio();
    // Said to whoever reads it.
    stream.on("error", () => undefined);
    const over = Promise.withResolvers<void>();
    const cancel = (): void => stream.cancel();
    ended.signal.addEventListener("abort", cancel, { once: true });
    if (ended.signal.aborted) cancel();
    try {
      stream.write({ ...key, stdin: Buffer.alloc(0) });
      if (stdinEnded) stream.end();
      current.resolve({ stream, over: over.promise });
      for await (const response of stream) await receive(response as StdioResponse);
    } finally {
      ended.signal.removeEventListener("abort", cancel);
      current = Promise.withResolvers();
      over.resolve();
    }
  };

  const receiveAll = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      try {
        await connection();
        return;
      } catch (error) {
        if (ended.signal.aborted) return;
        if (!isWorthRetrying(error)) {
          log.warn("the streams of a process have ended before it", { ...key, error });
          return;
        }
        broken ??= error;
        await pause(RETRY_MS, undefined, { signal: ended.signal }).catch(() => undefined);
      }
    }
  };

  const sendAll = async (): Promise<void> => {
    for await (const stdin of streams.stdin?.chunks() ?? []) {
      const { stream, over } = await current.promise;
      const written = new Promise<void>((resolve) => {
        stream.write({ containerId: "", execId: "", stdin }, () => resolve());
      });
      // A write that a broken connection took is not always answered.
      await Promise.race([written, over]);
      carried(stdin.length);
    }
    stdinEnded = true;
    void current.promise.then(({ stream }) => stream.end());
  };

  const received = receiveAll().then(async () => {
    drained.resolve();
    ended.abort();
    await streams.close();
  });
  if (streams.stdin !== undefined) void sendAll();
  return {
    drained: drained.promise,
    get moved() {
      return moved;
    },
    get waitsForReader() {
      return taking;
    },
    async close() {
      ended.abort();
      // A write nobody takes ends with its stream.
      await streams.close();
      await received;
    },
  };
}

/** The connection broke (a session that ends takes its calls back), or the guest has not yet noticed that the one before did. */
function isWorthRetrying(error: unknown): boolean {
  const { code } = error as Partial<ServiceError>;
  return code === Code.UNAVAILABLE || code === Code.CANCELLED || code === Code.ALREADY_EXISTS;
}
