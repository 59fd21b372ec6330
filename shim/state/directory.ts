import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../../sys/error.ts";
import { hasLedger } from "../../sys/ledger.ts";
import { checkSocketPath } from "../../sys/socket-path.ts";

/** Where one sandbox keeps what dies with it: ledger, sockets, console log, timeline. Root only. */
export function sandboxDirectory(stateDir: string, namespace: string, id: string): string {
  return join(stateDir, namespace, id);
}

/** Socket of the sandbox's management API (proto/tapir/management/v1). */
export function managementSocket(directory: string): string {
  return join(directory, "management.sock");
}

/**
 * Throws INVALID_ARGUMENT when the sockets of a sandbox cannot lie in `directory`: the management API's has the longest name of
 * them.
 */
export function checkSandboxDirectory(directory: string): void {
  checkSocketPath(managementSocket(directory), "set a shorter runtime.state_dir");
}

export interface SandboxPlace {
  readonly namespace: string;
  readonly id: string;
  readonly directory: string;
}

/** Every sandbox that has a ledger, in order of namespace and id; other things may lie beside them. */
export function listSandboxes(stateDir: string): SandboxPlace[] {
  return placesIn(stateDir).filter(({ directory }) => hasLedger(directory));
}

/** A shim writes its ledger, and removes its directory after it, in less time than this. */
const YOUNG_MS = 60_000;

/** Directories of sandboxes whose shim was killed before it wrote its ledger, or after it had removed it. */
export function listUnclaimed(stateDir: string): SandboxPlace[] {
  const isOld = (directory: string): boolean => {
    const changed = statSync(directory, { throwIfNoEntry: false })?.mtimeMs;
    return changed !== undefined && Date.now() - changed > YOUNG_MS;
  };
  return placesIn(stateDir).filter(({ directory }) => !hasLedger(directory) && isOld(directory));
}

function placesIn(stateDir: string): SandboxPlace[] {
  return namesIn(stateDir)
    .filter(isNamespace)
    .flatMap((namespace) =>
      namesIn(join(stateDir, namespace)).map((id) => ({
        namespace,
        id,
        directory: sandboxDirectory(stateDir, namespace, id),
      })),
    );
}

/** containerd's namespaces begin with a letter or digit; what does not is ours. */
function isNamespace(name: string): boolean {
  return !name.startsWith(".");
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .toSorted();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
