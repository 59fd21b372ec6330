import { writeSync } from "node:fs";
import { basename } from "node:path";
import { type Deadline, deadlineIn } from "../sys/deadline.ts";
import { wrapError } from "../sys/error.ts";
import { isAlive, type ProcessIdentity } from "../sys/identity.ts";
import { hasLedger, replayLedger } from "../sys/ledger.ts";
import { type Invocation, requireIdentity } from "./bootstrap.ts";
import {
  addressFile,
  type ExitRecord,
  exitFile,
  shimIdentityFile,
  stateDirectoryFile,
  taskPidFile,
} from "./bundle-files.ts";
import { deleteResponse } from "./deleted.ts";
import { type PodGroup, podGroup } from "./sandbox/group.ts";
import { readOciSpec } from "./sandbox/oci.ts";
import { pathOfAddress, remove } from "./socket.ts";

/** containerd gives 5 s. */
const DELETE_MS = 4500;
/** A serve process that is told to end has this long to undo by itself what it knows best. */
const GENTLE_MS = 1500;
/** What a process that was killed reports: 128 + SIGKILL. */
const KILLED = 137;

/**
 * `delete`, run in the bundle after the shim's end, be it a good one or a crash: removes what is left of the sandbox
 * and prints the DeleteResponse. Needs no living shim. Fails, with the rest named, when something could not be undone:
 * containerd keeps the bundle then and tries again after its next start.
 */
export async function deleteCommand(invocation: Invocation): Promise<void> {
  requireIdentity(invocation);
  const bundle = invocation.bundle || process.cwd();
  const deadline = deadlineIn(DELETE_MS, `delete ${invocation.id}`);
  // The deadline's own timer does not keep the process alive.
  const alive = setTimeout(() => undefined, DELETE_MS);
  // The pod's shim may serve other containers: a container's end leaves it alone.
  if (groupOf(invocation.id, bundle)?.kind !== "container")
    await deleteSandbox(invocation.id, bundle, deadline);
  clearTimeout(alive);
  writeSync(1, deleteResponse(exitOf(bundle)));
  process.exit(0);
}

async function deleteSandbox(id: string, bundle: string, deadline: Deadline): Promise<void> {
  await endServe(shimIdentityFile.read(bundle), deadline);
  const directory = stateDirectoryFile.read(bundle);
  // Killed just before it wrote its ledger, or after it had removed it, a shim leaves a directory with nothing to undo.
  if (directory !== undefined && (hasLedger(directory) || basename(directory) === id)) {
    const { failures } = await deadline.race(replayLedger(directory));
    if (failures.length > 0)
      throw wrapError(new AggregateError(failures), { operation: "undo", object: `all of ${directory}` });
  }
  const address = addressFile.read(bundle);
  if (address !== undefined) remove(pathOfAddress(address));
}

/** A shim that lost its connection to containerd, or hangs, still holds the pod: nobody else will ever end it. */
async function endServe(identity: ProcessIdentity | undefined, deadline: Deadline): Promise<void> {
  if (identity === undefined || !isAlive(identity)) return;
  const { endProcess } = await import("../sys/process.ts");
  await endProcess(identity, deadline.within(GENTLE_MS, `end shim ${identity.pid}`), deadline);
}

/** undefined without a readable spec: a bundle that never came to life belongs to nobody else. */
function groupOf(id: string, bundle: string): PodGroup | undefined {
  try {
    return podGroup(id, readOciSpec(bundle).annotations);
  } catch {
    return undefined;
  }
}

/** The first record of an exit is the true one: nothing overwrites it with a kill that came later. */
function exitOf(bundle: string): ExitRecord {
  const recorded = exitFile.read(bundle);
  return recorded ?? { pid: pidOf(bundle), status: KILLED, exitedAtMs: Date.now() };
}

/** 0 when nobody knows: a file that holds something else must not keep the bundle for ever. */
function pidOf(bundle: string): number {
  const text = taskPidFile.read(bundle) ?? "";
  return /^\d{1,9}$/.test(text) ? Number(text) : 0;
}
