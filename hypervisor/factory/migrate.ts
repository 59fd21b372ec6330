import type { Deadline } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { QmpClient } from "../qmp/client.ts";
import { isEvent, type QmpEvent } from "../qmp/events.ts";

/**
 * Device state of a stopped VM to and from a file, by QEMU's migration over a descriptor: nothing is executed, which the
 * sandbox forbids. The guest's memory is a file of its own and not part of it.
 */
const CAPABILITIES = ["x-ignore-shared", "events"] as const;
const FD_NAME = "state";

/** Writes the state of a stopped VM to `fd`. */
export async function saveState(qmp: QmpClient, fd: number, deadline: Deadline): Promise<void> {
  await setUp(qmp, fd, deadline);
  const uri = `fd:${FD_NAME}`;
  await finish(qmp, qmp.executeAndAwait("migrate", { uri }, migrated, deadline), deadline);
}

/** Reads the state of a VM that was started to wait for it; afterwards it is stopped where the saved one was. */
export async function loadState(qmp: QmpClient, fd: number, deadline: Deadline): Promise<void> {
  await setUp(qmp, fd, deadline);
  const uri = `fd:${FD_NAME}`;
  await finish(qmp, qmp.executeAndAwait("migrate-incoming", { uri }, migrated, deadline), deadline);
}

async function setUp(qmp: QmpClient, fd: number, deadline: Deadline): Promise<void> {
  const capabilities = CAPABILITIES.map((capability) => ({ capability, state: true }));
  await Promise.all([
    qmp.execute("migrate-set-capabilities", { capabilities }, deadline),
    qmp.execute("getfd", { fdname: FD_NAME }, deadline, [fd]),
  ]);
}

function migrated(event: QmpEvent): true | undefined {
  if (!isEvent(event, "MIGRATION")) return undefined;
  const { status } = event.data;
  if (status === "completed") return true;
  if (status !== "failed" && status !== "cancelled") return undefined;
  throw new TapirError({
    code: Code.ABORTED,
    operation: "move",
    object: "state of the VM",
    cause: `QEMU says: migration ${status}`,
  });
}

/** A failed outgoing migration is explained by a query; a failed incoming one ends QEMU, which says why on stderr. */
async function finish(qmp: QmpClient, migrating: Promise<true>, deadline: Deadline): Promise<void> {
  try {
    await migrating;
  } catch (error) {
    const answer = await qmp.execute("query-migrate", undefined, deadline).catch((lost: unknown) => lost);
    throw new TapirError({
      code: Code.ABORTED,
      operation: "move",
      object: "state of the VM",
      cause: errorOf(answer) ?? answer ?? error,
    });
  }
}

function errorOf(answer: unknown): string | undefined {
  if (typeof answer !== "object" || answer === null || !("error-desc" in answer)) return undefined;
  return String(answer["error-desc"]);
}
