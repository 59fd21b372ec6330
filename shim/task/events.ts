import { setTimeout as pause } from "node:timers/promises";
import { EventsDefinition, ForwardRequest } from "../../proto/gen/containerd/events/forward.ts";
import type { Envelope } from "../../proto/gen/containerd/types/types.ts";
import type { Log } from "../log.ts";
import { pathOfAddress } from "../socket.ts";
import { type Client, connect } from "../ttrpc/client.ts";
import { StatusCode, TtrpcError } from "../ttrpc/status.ts";
import { type EventFields, type EventKind, packEvent } from "./event-kinds.ts";

/** Tells containerd what happens, in the order in which it happened. */
export interface Publisher {
  /** Queues the event; never waits, never throws. */
  publish<K extends EventKind>(kind: K, fields: EventFields<K>): void;
  /** Waits until everything queued is sent, `flushMs` at most; then gives up the rest. */
  close(flushMs: number): Promise<void>;
}

export interface PublisherOptions {
  /** containerd's TTRPC_ADDRESS; "" = there is nobody to tell (CRI-O): events are only logged. */
  readonly address: string;
  readonly namespace: string;
  readonly log: Log;
  /** Milliseconds per unit of the growing pause; tests make it short. */
  readonly pauseMs?: number;
}

/** containerd's own publisher has the same limits. */
const QUEUE_LENGTH = 2048;
const TRIES = 5;
const DIAL_MS = 5000;
/**
 * What was sent over a connection that holds arrives, however late: a containerd that stands still finds it when it goes on. Sent
 * again it would be told twice.
 */
const ANSWER_MS = 2 ** 31 - 1;
const HURRIED_MS = 50;

/**
 * A queue with one sender: an event is sent when the one before it has arrived or was given up, so the order holds.
 * containerd's refusals count as tries. While containerd is down nothing is given up: after its restart everything
 * still in the queue follows.
 */
export function openPublisher(options: PublisherOptions): Publisher {
  const { address, namespace, log, pauseMs = 1000 } = options;
  const path = pathOfAddress(address);
  const queue: Envelope[] = [];
  const closing = new AbortController();
  const hurry = new AbortController();
  let client: Client | undefined;
  let sending: Promise<void> | undefined;

  const forward = async (envelope: Envelope): Promise<void> => {
    client ??= await dial(path, () => {
      client = undefined;
    });
    const payload = ForwardRequest.encode({ envelope }).finish();
    const { fullName, methods } = EventsDefinition;
    const { signal } = closing;
    await client.call(fullName, methods.forward.name, payload, { timeoutMs: ANSWER_MS, signal });
  };

  /** Sends until it has arrived, is given up, or the publisher closes. */
  const deliver = async (envelope: Envelope): Promise<void> => {
    let refusals = 0;
    for (let attempt = 1; !closing.signal.aborted; attempt++) {
      try {
        return await forward(envelope);
      } catch (error) {
        if (!isUnreachable(error)) refusals++;
        if (refusals >= TRIES) return log.error("event given up", { topic: envelope.topic, error });
        log.debug("event not sent yet", { topic: envelope.topic, attempt, error });
      }
      await rest(attempt);
    }
  };

  /** Longer each time; short once the publisher is to close: containerd may be back since the last try. */
  const rest = async (attempt: number): Promise<void> => {
    const [ms, signal] = hurry.signal.aborted
      ? [HURRIED_MS, closing.signal]
      : [Math.min(attempt, TRIES) * pauseMs, hurry.signal];
    await pause(ms, undefined, { signal }).catch(() => undefined);
  };

  const sendAll = async (): Promise<void> => {
    for (let first = queue[0]; first !== undefined && !closing.signal.aborted; first = queue[0]) {
      await deliver(first);
      queue.shift();
    }
    sending = undefined;
  };

  return {
    publish(kind, fields) {
      const packed = packEvent(kind, fields);
      log.debug("event", { topic: packed.topic });
      if (path === "") return;
      if (queue.length >= QUEUE_LENGTH) {
        // The first one may be on its way.
        const [dropped] = queue.splice(1, 1);
        log.error("event dropped: the queue is full", { topic: dropped?.topic });
      }
      queue.push({ ...packed, namespace, timestamp: new Date() });
      sending ??= sendAll();
    },
    async close(flushMs) {
      hurry.abort();
      const flushed = new AbortController();
      const late = pause(flushMs, undefined, { signal: flushed.signal }).catch(() => undefined);
      await Promise.race([sending, late]);
      flushed.abort();
      closing.abort();
      if (queue.length > 0) log.error("events not sent", { count: queue.length });
      client?.close();
    },
  };
}

async function dial(path: string, onClosed: () => void): Promise<Client> {
  const client = await connect(path, DIAL_MS);
  void client.closed.then(onClosed);
  return client;
}

/** No socket, nobody listening, or a connection that broke: containerd is down, not unwilling. */
function isUnreachable(error: unknown): boolean {
  return !(error instanceof TtrpcError) || error.code === StatusCode.UNAVAILABLE;
}
