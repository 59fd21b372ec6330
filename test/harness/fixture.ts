import type { TestFn } from "ava";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { type Inventory, takeInventory } from "../../sys/inventory.ts";
import { daemonDescriptors } from "./daemon-descriptors.ts";
import { type NodeOptions, startNode, TB_SIZE_FOR_CONTAINERS_MIB, type TestNode } from "./node.ts";
import { atRest, settledDifference } from "./settle.ts";

/** It ends with the last difference; only what is really left waits so long. */
const SETTLE_MS = 60_000;
const CLEAN_UP_MS = 120_000;
/** Where things lie that do not carry a node's mark in their path. */
const SHARED_ROOTS = ["/run/containerd", "/run/tapir", "/var/lib/cni"];
/** Programs a pod brings along; a machine has others that come and go by themselves. */
const PROGRAMS = /\b(qemu-system|virtiofsd|containerd|runc|crictl|ctr|tapir|setpriv)/;

/**
 * Gives an integration file its private node, and compares inventories: of the node before the first and after the
 * last test, of the machine around the node's life. Call it once per file; the function returned gives the node.
 *
 * With TAPIR_INVENTORY=machine the whole machine is compared; that needs a machine where nobody else works.
 */
export function useNode(test: TestFn, options: NodeOptions = {}): () => TestNode {
  let node: TestNode | undefined;
  let machineBefore: Inventory | undefined;
  let nodeBefore: Inventory | undefined;
  const theNode = (): TestNode => {
    if (node === undefined) throw new Error("the node has not started");
    return node;
  };

  test.before("start the node", async () => {
    const deadline = deadlineIn(SETTLE_MS, "take the inventory");
    machineBefore = await machineInventory(undefined, deadline);
    node = await startNode({ tbSizeMiB: TB_SIZE_FOR_CONTAINERS_MIB, ...options });
    const rest = deadlineIn(SETTLE_MS, "see the node at rest");
    nodeBefore = await atRest(() => nodeInventory(theNode(), rest), rest);
  });

  test.after.always("the inventory is as before", async (t) => {
    if (node === undefined || machineBefore === undefined) return;
    const { mark } = node;
    let ofNode: string[] = ["the node never got ready"];
    try {
      await node.removePods(deadlineIn(CLEAN_UP_MS, "remove the pods"));
      const settle = deadlineIn(SETTLE_MS, "settle");
      if (nodeBefore !== undefined) {
        ofNode = await settledDifference(nodeBefore, () => nodeInventory(theNode(), settle), settle);
      }
    } finally {
      await node[Symbol.asyncDispose]();
    }
    const settle = deadlineIn(SETTLE_MS, "settle");
    const ofMachine = await settledDifference(machineBefore, () => machineInventory(mark, settle), settle);
    t.deepEqual(ofNode, [], "left over on the node");
    t.deepEqual(ofMachine, [], "left over on the machine");
  });
  return theNode;
}

/**
 * For integration files without a node: what carries `mark` in a path, command line or environment is after
 * `takeDown` as it was before the first test.
 */
export function useInventory(
  test: TestFn,
  mark: string,
  takeDown: () => Promise<void> = async () => {},
): void {
  let before: Inventory | undefined;
  const take = (deadline: Deadline): Promise<Inventory> => takeInventory({ mark }, deadline);

  test.serial.before("take the inventory", async () => {
    before = await take(deadlineIn(SETTLE_MS, "take the inventory"));
  });
  test.serial.after.always("take down; the inventory is as before", async (t) => {
    await takeDown();
    if (before === undefined) return;
    const settle = deadlineIn(SETTLE_MS, "settle");
    t.deepEqual(await settledDifference(before, () => take(settle), settle), [], "left over");
  });
}

/** What belongs to a node besides its daemon, which a test may have restarted; `roots`: where else it keeps files. */
export async function nodeInventory(
  node: TestNode,
  deadline: Deadline,
  roots: readonly string[] = [],
): Promise<Inventory> {
  const all = await takeInventory({ mark: node.mark, roots: [node.stateDirectory, ...roots] }, deadline);
  const { pid, startTime } = node.containerd.identity();
  const { [`${pid}@${startTime}`]: _daemon, ...processes } = all.processes;
  return { ...all, processes, descriptors: daemonDescriptors(node.containerd) };
}

const NO_SUCH_NODE = "tn-none";

async function machineInventory(mark: string | undefined, deadline: Deadline): Promise<Inventory> {
  if (process.env.TAPIR_INVENTORY !== "machine")
    return takeInventory({ mark: mark ?? NO_SUCH_NODE }, deadline);
  const all = await takeInventory({ roots: SHARED_ROOTS }, deadline);
  const processes = Object.entries(all.processes).filter(([, commandLine]) => PROGRAMS.test(commandLine));
  return { ...all, processes: Object.fromEntries(processes) };
}
