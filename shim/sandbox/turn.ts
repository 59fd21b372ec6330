import { availableParallelism } from "node:os";
import type { Deadline } from "../../sys/deadline.ts";
import type { Acquired, Ledger } from "../../sys/ledger.ts";
import { awaitTurn, lineUp, ticketIn } from "../../sys/queue.ts";
import type { Timeline } from "../state/timeline.ts";
import type { Settings } from "./settings.ts";

/** A pod's turn to let its guest run. */
export interface StartTurn {
  /** Waits for it. Once it has come, it stays until it is over. */
  take(): Promise<void>;
  /** The next pod's guest may run. Idempotent. */
  over(): Promise<void>;
}

/** No name of a namespace, which begins with a letter or digit. */
const QUEUE = ".starting-";
/** Guests that may come up at once for each processor. One under emulation keeps it busy; under KVM it mostly waits. */
const GUESTS_PER_PROCESSOR = { tcg: 1, kvm: 4 } as const;

/** Waits until the pods that are starting now have started; whoever comes later does not wait for this one. */
export function startsAreOver({ configuration }: Settings, deadline: Deadline): Promise<void> {
  return awaitTurn(ticketIn(configuration.runtime.stateDir, QUEUE), 1, deadline);
}

/**
 * Of pods that start at once, only so many guests come up at a time as there are processors for: all together none would
 * answer before its deadline. What a pod does before its guest runs, it does meanwhile.
 */
export function startTurn(
  { configuration, accelerator }: Settings,
  { ledger, timeline, deadline }: { ledger: Ledger; timeline: Timeline; deadline: Deadline },
): StartTurn {
  const places = availableParallelism() * GUESTS_PER_PROCESSOR[accelerator];
  let acquired: Promise<Acquired<void>> | undefined;
  const acquire = (): Promise<Acquired<void>> => {
    const ticket = ticketIn(configuration.runtime.stateDir, QUEUE);
    return ledger.acquire("sandbox.turn", { kind: "file", path: ticket }, async () => {
      lineUp(ticket);
      await awaitTurn(ticket, places, deadline);
    });
  };
  return {
    async take() {
      acquired ??= timeline.measure("turn", acquire);
      await acquired;
    },
    async over() {
      // Not acquired: given back already.
      await (await acquired?.catch(() => undefined))?.release();
    },
  };
}
