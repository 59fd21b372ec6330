import type { Deadline } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { QmpClient } from "../qmp/client.ts";
import { isEvent, type QmpEvent } from "../qmp/events.ts";
import { isGone, isUnplugging, qmpFailureOf } from "../qmp/failure.ts";
import { answerBy } from "../qmp/session.ts";

/**
 * Asks the guest to let go of a device and waits for the event that it did. A device that is gone already is no error, so
 * that it can be tried again.
 * Errors: the guest refused (FAILED_PRECONDITION) or did not answer (DEADLINE_EXCEEDED); the device is still there then.
 */
export async function releaseDevice(qmp: QmpClient, id: string, deadline: Deadline): Promise<void> {
  const watch = qmp.watch(`release of ${id} by the guest`, (event) => releaseOf(event, id));
  try {
    const asked = await askForRelease(qmp, id, deadline);
    if (asked) await answerBy(watch.found, `release of ${id} by the guest`, deadline);
  } finally {
    watch.end();
  }
}

/** Runs a command that removes what stood behind a device; what is not there (any more) is no error. */
export async function unlessGone(removing: Promise<unknown>): Promise<void> {
  try {
    await removing;
  } catch (error) {
    const failure = qmpFailureOf(error);
    if (failure !== undefined && isGone(failure)) return;
    throw error;
  }
}

/** False when there is no such device any more. */
async function askForRelease(qmp: QmpClient, id: string, deadline: Deadline): Promise<boolean> {
  try {
    await qmp.execute("device_del", { id }, deadline);
    return true;
  } catch (error) {
    const failure = qmpFailureOf(error);
    if (failure?.errorClass === "DeviceNotFound") return false;
    // An earlier attempt that ran out of time: the guest still has the question.
    if (failure !== undefined && isUnplugging(failure)) return true;
    throw error;
  }
}

function releaseOf(event: QmpEvent, id: string): true | undefined {
  if (isEvent(event, "DEVICE_DELETED") && event.data.device === id) return true;
  if (!isEvent(event, "DEVICE_UNPLUG_GUEST_ERROR") || event.data.device !== id) return undefined;
  throw new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "unplug",
    object: `device ${id}`,
    cause: "the guest refused to let go of it",
  });
}
