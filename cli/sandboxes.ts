import { loadConfiguration } from "../shim/config/load.ts";
import { listSandboxes, listUnclaimed, type SandboxPlace } from "../shim/state/directory.ts";
import { TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";

/** The sandboxes of this node, by the state directory that its configuration names. */
export function nodeSandboxes(): SandboxPlace[] {
  return listSandboxes(loadConfiguration().configuration.runtime.stateDir);
}

/** What is left of sandboxes that have no ledger. */
export function unclaimedPlaces(): SandboxPlace[] {
  return listUnclaimed(loadConfiguration().configuration.runtime.stateDir);
}

/** The one sandbox whose id begins with `prefix`. */
export function findSandbox(prefix: string): SandboxPlace {
  const found = nodeSandboxes().filter(({ id }) => id.startsWith(prefix));
  const [first] = found;
  if (first !== undefined && found.length === 1) return first;
  throw new TapirError({
    code: first === undefined ? Code.NOT_FOUND : Code.INVALID_ARGUMENT,
    operation: "find",
    object: `sandbox ${prefix}`,
    cause:
      first === undefined
        ? "no sandbox of this node has an id that begins so"
        : `${found.length} sandboxes have ids that begin so`,
    hint: first === undefined ? "tapir list shows them all" : "give more of the id",
  });
}
