import { setTimeout } from "node:timers/promises";
import { connectManagement, methods } from "../../cli/management-client.ts";
import { sandboxDirectory } from "../../shim/state/directory.ts";
import type { Deadline } from "../../sys/deadline.ts";
import type { TestNode } from "./node.ts";
import { runOk } from "./run.ts";

const LOOK_AGAIN_MS = 50;

/** Asks a pod's guest for its interfaces until they satisfy; when it cannot be asked any more, that is the failure. */
export async function interfacesUntil(
  node: TestNode,
  pod: string,
  satisfied: (names: readonly string[]) => boolean,
  deadline: Deadline,
): Promise<void> {
  const directory = sandboxDirectory(node.stateDirectory, "k8s.io", pod);
  for (;;) {
    using connection = await deadline.race(connectManagement(directory));
    const { interfaces } = await deadline.race(connection.call(methods.listInterfaces, {}));
    if (satisfied(interfaces.map(({ name }) => name))) return;
    await setTimeout(LOOK_AGAIN_MS, undefined, { signal: deadline.signal });
  }
}

/** Adds a link to a pod's netns as CNI does for a network that comes later; its other end is in the node's. */
export async function addLink(
  node: TestNode,
  netns: string,
  names: { readonly link: string; readonly far: string },
  deadline: Deadline,
): Promise<void> {
  const ip = (...args: string[]): Promise<string> => runOk({ command: "ip", args, deadline, netns });
  const { link, far } = names;
  // The other end goes to the node's at once, so that there is one NIC.
  await ip("link", "add", link, "type", "veth", "peer", "name", far, "netns", node.mark);
  await ip("link", "set", link, "up");
}
