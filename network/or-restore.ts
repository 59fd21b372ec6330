import { type Deadline, deadlineIn } from "../sys/deadline.ts";

/** The caller's time may be what ran out. */
const RESTORE_MS = 5000;

/** Does `work`; when it fails, `restore` has a deadline of its own. Rejects with what `work` failed with. */
export async function orRestore<T>(
  what: string,
  work: () => Promise<T>,
  restore: (deadline: Deadline) => Promise<void>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await restoreSoon(what, restore);
    throw error;
  }
}

/** Never rejects: why something has to be restored is what the caller needs to know. */
export async function restoreSoon(
  what: string,
  restore: (deadline: Deadline) => Promise<void>,
): Promise<void> {
  using deadline = deadlineIn(RESTORE_MS, `restore ${what}`);
  await restore(deadline).catch(() => undefined);
}
