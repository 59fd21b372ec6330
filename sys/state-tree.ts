import { existsSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { TapirError } from "./error.ts";
import { failpoint } from "./failpoint.ts";
import { readMounts } from "./inventory/mountinfo.ts";
import { readNames } from "./inventory/read.ts";
import { removeTree } from "./remove.ts";
import { Code } from "./status.ts";

/**
 * Removes a state directory, the ledger in it last: whoever is killed meanwhile leaves one that can be replayed, or a directory
 * without a ledger, which holds nothing. Refuses while something is mounted there, whose files would go as well.
 */
export async function removeState(directory: string, ledger: string): Promise<void> {
  if (!existsSync(directory)) return;
  const path = realpathSync(directory);
  const mounted = readMounts().find(({ target }) => target.startsWith(`${path}/`));
  if (mounted !== undefined) {
    throw new TapirError({
      code: Code.FAILED_PRECONDITION,
      operation: "remove",
      object: directory,
      cause: `${mounted.target} is mounted`,
      hint: "unmount it",
    });
  }
  for (const name of readNames(directory)) if (name !== ledger) removeTree(join(directory, name));
  removeTree(join(directory, ledger));
  await failpoint("ledger.removed");
  removeTree(directory);
}
