import { readdirSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../../../sys/error.ts";
import { isAlive } from "../../../sys/identity.ts";
import { hasLedger, ledgerOwner, replayLedger } from "../../../sys/ledger.ts";
import { CACHE_DIRECTORY } from "./message.ts";

/** Where the clones of a node are until pods take them: beside the pods, so that a socket can be moved from here to there. */
export function cacheHome(stateDirectory: string): string {
  return join(stateDirectory, CACHE_DIRECTORY);
}

/** Undoes what a cache server left that was killed; does nothing while one lives. Clones first, what holds them last. */
export async function clearCache(home: string): Promise<{ undone: string[]; failures: unknown[] }> {
  const undone: string[] = [];
  const failures: unknown[] = [];
  const clones = namesIn(home).map((name) => join(home, name));
  for (const directory of [...clones, home].filter(isAbandoned)) {
    // Its directory goes with all that is in it: not while something in it could not be undone.
    if (directory === home && failures.length > 0) break;
    const result = await replayLedger(directory);
    undone.push(...result.undone);
    failures.push(...result.failures);
  }
  return { undone, failures };
}

function isAbandoned(directory: string): boolean {
  if (!hasLedger(directory)) return false;
  const owner = ledgerOwner(directory);
  return owner === undefined || !isAlive(owner);
}

function namesIn(home: string): string[] {
  try {
    return readdirSync(home, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
