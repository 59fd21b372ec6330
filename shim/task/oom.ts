import { setTimeout as pause } from "node:timers/promises";
import type { Event } from "../../proto/gen/tapir/agent/v1/container.ts";
import type { GuestContainers } from "../containers-client.ts";

const RETRY_MS = 1_000;

/** Tells which containers the guest's kernel takes processes from, for lack of memory, until `signal`. */
export async function watchOutOfMemory(
  guest: GuestContainers,
  onOutOfMemory: (containerId: string) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const stream = guest.events();
    const cancel = (): void => stream.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      for await (const { oomKill } of stream as AsyncIterable<Event>) {
        if (oomKill !== undefined) onOutOfMemory(oomKill.containerId);
      }
    } catch {
      // The connection broke, or the VM is gone and `signal` is about to say so.
    } finally {
      signal.removeEventListener("abort", cancel);
    }
    await pause(RETRY_MS, undefined, { signal }).catch(() => undefined);
  }
}
