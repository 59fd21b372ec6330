import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { step } from "../setup/step.ts";
import { type Deadline, deadlineIn } from "../sys/deadline.ts";
import { reasonOf, TapirError } from "../sys/error.ts";
import { listCgroups } from "../sys/inventory/cgroups.ts";
import { Code } from "../sys/status.ts";
import type { PodConfig } from "../test/harness/crictl.ts";
import { dismantleNode } from "../test/harness/dismantle.ts";
import { nodeInventory } from "../test/harness/fixture.ts";
import { readGuestState } from "../test/harness/guest-state.ts";
import { startNode, type TestNode } from "../test/harness/node.ts";
import { PROJECT } from "../test/harness/project.ts";
import { settledDifference } from "../test/harness/settle.ts";
import { showContainer } from "./container.ts";
import { forgetNode, keptNodes, rememberNode } from "./kept.ts";
import { comparisonText, timelineText } from "./show.ts";
import { compareStarts } from "./starts.ts";

/**
 * `npm run demo`: the main job, end to end, on a private node. `--keep` leaves the pod up, `--stop` takes down what
 * was kept. Exit code 0 only when everything that was shown was true.
 */
const POD = "configs/crictl/pod.json";
const DEADLINE_MS = 5 * 60_000;
const print = (text: string): boolean => process.stdout.write(`${text}\n`);

async function main(flags: ReadonlySet<string>): Promise<void> {
  if (flags.has("--stop")) return stopKept();
  const deadline = deadlineIn(DEADLINE_MS, "run the demo");
  print("\nTapir: a pod in its own QEMU virtual machine");
  let node: TestNode | undefined;
  const interrupted = Promise.withResolvers<never>();
  process.once("SIGINT", () => interrupted.reject(failure("show", "the demo", "interrupted")));
  try {
    await step("private node", async () => {
      node = await startNode();
      const version = execFileSync("containerd", ["--version"], { encoding: "utf8" }).split(" ")[2];
      return `containerd ${version} in the network namespace ${node.mark}`;
    });
    if (node === undefined) return;
    await Promise.race([show(node, flags.has("--keep"), deadline), interrupted.promise]);
  } catch (error) {
    await node?.[Symbol.asyncDispose]();
    throw error;
  }
}

async function show(node: TestNode, keep: boolean, deadline: Deadline): Promise<void> {
  const before = await nodeInventory(node, deadline);
  let id = "";
  // With a place for what its containers write.
  const podFile = join(node.directory, "pod.json");
  const config = JSON.parse(readFileSync(join(PROJECT, POD), "utf8")) as PodConfig;
  writeFileSync(podFile, JSON.stringify({ ...config, log_directory: join(node.directory, "logs") }));
  await step(`crictl runp --runtime=tapir ${POD}`, async () => {
    id = await node.crictl.runpFile(podFile, "tapir", deadline);
    return `pod ${id.slice(0, 12)}`;
  });
  print(timelineText(node.stateDirectory, id));
  const pod = await node.crictl.inspectp(id, deadline);
  for (const address of pod.addresses) {
    await step(`ping ${address} from the node's namespace`, async () => {
      return `${await node.ping(address, deadline)} ms`;
    });
  }
  let bothSides = "";
  await step("the guest, asked over gRPC", async () => {
    const state = await readGuestState(node.stateDirectory, pod, deadline);
    const { view, differences } = state;
    if (differences.length > 0) throw failure("find equal", "guest and netns", differences.join("\n"));
    if (view.details.kernelRelease === release()) {
      throw failure("tell apart", "guest and host", `both run ${release()}`);
    }
    bothSides = comparisonText(state);
    return `kernel ${view.details.kernelRelease}, on the host ${release()}; network equal to that of the netns`;
  });
  print(bothSides);
  await showContainer(node, { id, file: podFile }, deadline);
  if (keep) return keepNode(node, id, pod.addresses);
  await step("crictl stopp, rmp", async () => {
    await node.crictl.stopp(id, deadline);
    await node.crictl.rmp(id, deadline);
    return undefined;
  });
  await compareStarts(node, deadline);
  await step("nothing is left", async () => {
    const settle = deadline.within(10_000, "settle");
    const left = await settledDifference(before, () => nodeInventory(node, settle), settle);
    left.push(...Object.keys(listCgroups(id)));
    if (left.length > 0) throw failure("remove", "everything", left.join("\n"));
    return "processes, namespaces, links, qdiscs, mounts, cgroups, sockets, files as before the pod";
  });
  await step("private node removed", async () => {
    await node[Symbol.asyncDispose]();
    return undefined;
  });
}

function keepNode(node: TestNode, id: string, addresses: readonly string[]): void {
  rememberNode(node.record());
  const { line } = node.crictl;
  const inNode = `nsenter --net=${node.netns}`;
  print(`
The pod stays up. To play with it:
  ${line} pods
  ${line} inspectp ${id.slice(0, 12)}
  ${addresses.map((address) => `${inNode} ping -c 3 ${address}`).join("\n  ")}
  TAPIR_CONFIG=${node.directory}/configuration.toml build/shim/tapir guest ${id.slice(0, 12)}
To stop it and remove everything:
  npm run demo -- --stop`);
}

async function stopKept(): Promise<void> {
  const kept = keptNodes();
  if (kept.length === 0) print("no demo was kept");
  for (const record of kept) {
    await step(`remove node ${record.mark} and its pods`, async () => {
      await dismantleNode(record);
      forgetNode(record);
      return undefined;
    });
  }
}

const failure = (operation: string, object: string, cause: string): TapirError =>
  new TapirError({ code: Code.UNKNOWN, operation, object, cause });

try {
  const flags = new Set(process.argv.slice(2));
  const unknown = [...flags].find((flag) => flag !== "--keep" && flag !== "--stop");
  if (unknown !== undefined) throw failure("understand", unknown, "the demo knows --keep and --stop");
  await main(flags);
} catch (error) {
  process.stderr.write(`demo: ${reasonOf(error)}\n`);
  process.exitCode = 1;
}
