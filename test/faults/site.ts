import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deadlineIn } from "../../sys/deadline.ts";
import type { Inventory } from "../../sys/inventory.ts";
import { mount, unmount } from "../../sys/mount.ts";
import { nodeInventory } from "../harness/fixture.ts";
import { startNode, type TestNode } from "../harness/node.ts";
import { BUILT } from "../harness/project.ts";
import { type Workloads, workloads } from "../harness/workload.ts";
import { type Meeting, openMeeting } from "./meeting.ts";

/** A private node whose shims stop at each step. */
export interface Site extends AsyncDisposable {
  readonly node: TestNode;
  readonly work: Workloads;
  readonly meeting: Meeting;
  /** What is there when no pod is. */
  readonly empty: Inventory;
}

const START_MS = 120_000;
const STATE_BYTES = 16 << 20;

export async function openSite(): Promise<Site> {
  rmSync(BUILT.factory, { recursive: true, force: true });
  const directory = mkdtempSync(join(tmpdir(), "tapir-faults-"));
  const meeting = await openMeeting(join(directory, "meet.sock"));
  let node: TestNode | undefined;
  const close = async (): Promise<void> => {
    if (node !== undefined) unmount(node.stateDirectory);
    await node?.[Symbol.asyncDispose]();
    await meeting[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const deadline = deadlineIn(START_MS, "open a site of faults");
    node = await startNode({ env: { TAPIR_FAILPOINTS: meeting.setting } });
    // Of its own, so that it can be full.
    mkdirSync(node.stateDirectory, { recursive: true, mode: 0o700 });
    mount({
      source: "tmpfs",
      target: node.stateDirectory,
      type: "tmpfs",
      data: `mode=700,size=${STATE_BYTES}`,
    });
    // The first pod makes what stays: the template.
    const pod = await node.crictl.runp(node.podConfig("first"), "tapir", deadline);
    await node.crictl.rmp(pod, deadline);
    const empty = await nodeInventory(node, deadline);
    return { node, work: workloads(node), meeting, empty, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}
