import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import type { QmpClient } from "../qmp/client.ts";
import { qmpFailureOf } from "../qmp/failure.ts";

/** Undoing has its own time: the caller's may be what ran out. */
const CLEAN_UP_MS = 2000;

/** What became of a device that was to be plugged. */
export type Plugging =
  | { readonly state: "plugged" }
  /** Nothing of it is left in QEMU. */
  | { readonly state: "refused"; readonly failure: unknown }
  /** QEMU did not answer in time: it may still do what it was told. `fdNames` are the descriptors it may have. */
  | { readonly state: "unknown"; readonly failure: unknown; readonly fdNames: readonly string[] };

/** Runs the steps of a plugging; when QEMU refuses one, `undo` takes back those before it. */
export async function plugInSteps(
  what: string,
  fdNames: readonly string[],
  steps: () => Promise<unknown>,
  undo: (deadline: Deadline) => Promise<void>,
): Promise<Plugging> {
  try {
    await steps();
    return { state: "plugged" };
  } catch (failure) {
    if (qmpFailureOf(failure) === undefined) return { state: "unknown", failure, fdNames };
    await undo(deadlineIn(CLEAN_UP_MS, `undo the plugging of ${what}`));
    return { state: "refused", failure };
  }
}

/** Closes descriptors that nothing took. Names that QEMU does not know (any more) are no error. */
export async function closeNamed(
  qmp: QmpClient,
  fdNames: readonly string[],
  deadline: Deadline,
): Promise<void> {
  for (const fdname of fdNames) await qmp.execute("closefd", { fdname }, deadline).catch(() => undefined);
}
