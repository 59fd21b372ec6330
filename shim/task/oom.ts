import { setTimeout as pause } from "node:timers/promises";
import type { Event } from "../../proto/gen/tapir/agent/v1/container.ts";
import type { GuestContainers } from "../containers-client.ts";

const RETRY_MS = 1_000;
/** A guest may say a lot: what is more has to wait, in the guest. */
const EVENTS_PER_SECOND = 100;

/** Tells which containers the guest's kernel takes processes from, for lack of memory, until `signal`. */
export async function watchOutOfMemory(
  guest: GuestContainers,
  onOutOfMemory: (containerId: string) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    let cancel = (): void => undefined;
    try {
      const stream = await guest.events();
      cancel = () => stream.cancel();
      signal.addEventListener("abort", cancel, { once: true });
      if (signal.aborted) cancel();
      let left = EVENTS_PER_SECOND;
      for await (const { oomKill } of stream as AsyncIterable<Event>) {
        if (oomKill !== undefined) onOutOfMemory(oomKill.containerId);
        if (--left > 0) continue;
        await pause(1_000, undefined, { signal });
        left = EVENTS_PER_SECOND;
      }
    } catch {
      // The connection broke, or the VM is gone and `signal` is about to say so.
    } finally {
      signal.removeEventListener("abort", cancel);
    }
    await pause(RETRY_MS, undefined, { signal }).catch(() => undefined);
  }
}
