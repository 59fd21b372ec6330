import { cacheHome, clearCache } from "../hypervisor/factory/cache/leftovers.ts";
import { loadConfiguration } from "../shim/config/load.ts";
import { reasonOf, TapirError } from "../sys/error.ts";
import { isAlive } from "../sys/identity.ts";
import { ledgerOwner, replayLedger } from "../sys/ledger.ts";
import { Code } from "../sys/status.ts";
import { nodeSandboxes, unclaimedPlaces } from "./sandboxes.ts";

/** `tapir cleanup`: replays the ledger of every sandbox whose owner is gone, or has none yet. Living ones are left alone. */
export async function cleanup(): Promise<void> {
  const failures: string[] = [];
  for (const { id, directory } of [...nodeSandboxes(), ...unclaimedPlaces()]) {
    const owner = ledgerOwner(directory);
    if (owner !== undefined && isAlive(owner)) continue;
    const result = await replayLedger(directory);
    process.stdout.write(`${id}: undone: ${result.undone.join(", ") || "nothing was left"}\n`);
    failures.push(...result.failures.map((failure) => `${id}: ${reasonOf(failure)}`));
  }
  const cache = await clearCache(cacheHome(loadConfiguration().configuration.runtime.stateDir));
  if (cache.undone.length > 0) process.stdout.write(`VM cache: undone: ${cache.undone.join(", ")}\n`);
  failures.push(...cache.failures.map((failure) => `VM cache: ${reasonOf(failure)}`));
  if (failures.length > 0) {
    throw new TapirError({
      code: Code.INTERNAL,
      operation: "clean",
      object: "this node",
      cause: failures.join("; "),
    });
  }
}
