import { existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { reasonOf } from "../../sys/error.ts";
import type { Inventory } from "../../sys/inventory.ts";
import { mount, unmount } from "../../sys/mount.ts";
import { nodeInventory } from "../harness/fixture.ts";
import { startNode, TB_SIZE_FOR_CONTAINERS_MIB, type TestNode } from "../harness/node.ts";
import { atRest } from "../harness/settle.ts";
import { type Workloads, workloads } from "../harness/workload.ts";
import { faultsPlugin, withFaults } from "./cni-plugin.ts";
import { type Meeting, openMeeting } from "./meeting.ts";
import { followExits, type ToldExits } from "./told-exits.ts";

/** A private node whose shims stop at each step. */
export interface Site extends AsyncDisposable {
  readonly node: TestNode;
  readonly work: Workloads;
  readonly meeting: Meeting;
  /** What is there when no pod is. */
  readonly empty: Inventory;
  /** What is there now. */
  inventory(deadline: Deadline): Promise<Inventory>;
  readonly exits: ToldExits;
  /** Gives the template back that a fault has cost: pods would boot from then on, which takes longer and other steps. */
  renewTemplate(): void;
}

/** The first one boots a guest to make a template of it. */
const START_MS = 240_000;
/** Longer than any cell: a call that hangs is to be seen as one, and not as one that its caller gave up. */
const CLIENT_SECONDS = 900;
const STATE_BYTES = 16 << 20;

/** Templates for sites: the first makes one, and those that come later take it from there. */
export interface Kept extends Disposable {
  readonly path: string;
}

/** `path`: a directory that stays, for the next run as well. */
export function keepTemplates(path?: string): Kept {
  if (path !== undefined) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return { path, [Symbol.dispose]: () => undefined };
  }
  return temporaryTemplates();
}

function temporaryTemplates(): Kept {
  const path = mkdtempSync("/dev/shm/tapir-faults-");
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export async function openSite({ path: kept }: Kept): Promise<Site> {
  const directory = mkdtempSync(join(tmpdir(), "tapir-faults-"));
  const socket = join(directory, "meet.sock");
  const meeting = await openMeeting(socket);
  // Of its own: faults cost a template its trust.
  const factory = join("/dev/shm", basename(directory));
  let node: TestNode | undefined;
  let exits: ToldExits | undefined;
  const close = async (): Promise<void> => {
    exits?.[Symbol.dispose]();
    if (node !== undefined) unmount(node.stateDirectory);
    await node?.[Symbol.asyncDispose]();
    await meeting[Symbol.asyncDispose]();
    for (const path of [directory, factory, `${factory}.lock`])
      rmSync(path, { recursive: true, force: true });
  };
  try {
    const deadline = deadlineIn(START_MS, "open a site of faults");
    node = await startNode({
      tbSizeMiB: TB_SIZE_FOR_CONTAINERS_MIB,
      env: { TAPIR_FAILPOINTS: meeting.setting },
      cni: withFaults,
      plugins: faultsPlugin(socket),
      bundleBytes: STATE_BYTES,
      configuration: `[factory]\npath = "${factory}"\n[hypervisor.qemu]\nkernel_params = "unknown_nmi_panic"\n`,
    });
    // Of its own, so that it can be full.
    mkdirSync(node.stateDirectory, { recursive: true, mode: 0o700 });
    mount({
      source: "tmpfs",
      target: node.stateDirectory,
      type: "tmpfs",
      data: `mode=700,size=${STATE_BYTES}`,
    });
    linkTree(kept, factory);
    // The first pod makes what stays: the template, when there is none.
    const made = node;
    const pod = await made.crictl.runp(made.podConfig("first"), "tapir", deadline);
    await made.crictl.rmp(pod, deadline);
    linkTree(factory, kept);
    exits = followExits(made);
    const renewTemplate = (): void => {
      const all = readdirSync(factory, { recursive: true, encoding: "utf8" });
      for (const path of all.filter((one) => isNote(basename(one)))) rmSync(join(factory, path));
      linkTree(kept, factory);
    };
    const inventory = (limit: Deadline): Promise<Inventory> => {
      // A template that a fault has cost is not what is looked for; a half one beside it is.
      renewTemplate();
      return nodeInventory(made, limit, [factory]);
    };
    const empty = await atRest(() => inventory(deadline), deadline);
    const work = workloads(made, CLIENT_SECONDS);
    const parts = { node: made, work, meeting, empty, inventory, exits, renewTemplate };
    return { ...parts, [Symbol.asyncDispose]: close };
  } catch (error) {
    // What is in use because of the one error says nothing of it.
    await close().catch((left: unknown) => {
      throw new Error(`${reasonOf(error)}; what was made for it: ${reasonOf(left)}`, { cause: error });
    });
    throw error;
  }
}

/** What pods that follow shall know: why there is no template, or that guests from it did not come up. */
const isNote = (name: string): boolean => name.startsWith("failed-") || name === "doubt";

/** Links what is in `from` and not in `to`: who discards a template removes its names, and never writes to its files. */
function linkTree(from: string, to: string): void {
  for (const { name, parentPath } of readdirSync(from, { recursive: true, withFileTypes: true }).filter(
    (entry) => entry.isFile(),
  )) {
    const target = join(to, relative(from, parentPath), name);
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    if (!existsSync(target)) linkSync(join(parentPath, name), target);
  }
}
