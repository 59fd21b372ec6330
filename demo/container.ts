import { release } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { step } from "../setup/step.ts";
import type { Deadline } from "../sys/deadline.ts";
import { TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";
import type { TestNode } from "../test/harness/node.ts";
import { PROJECT } from "../test/harness/project.ts";
import { type Workloads, workloads } from "../test/harness/workload.ts";

const CONTAINER = "configs/crictl/container.json";
const LOOK_AGAIN_MS = 50;

/** Runs a container in the pod that `podFile` describes: what it says, and which kernel it has. */
export async function showContainer(
  node: TestNode,
  pod: { readonly id: string; readonly file: string },
  deadline: Deadline,
): Promise<void> {
  const work = workloads(node);
  let id = "";
  await step(`crictl create, start ${CONTAINER}`, async () => {
    id = await said(work, ["create", "--no-pull", pod.id, join(PROJECT, CONTAINER), pod.file], deadline);
    await said(work, ["start", id], deadline);
    return `container ${id.slice(0, 12)}`;
  });
  await step("crictl logs", async () => {
    // What it writes is on its way.
    for (;;) {
      const text = await said(work, ["logs", id], deadline);
      if (text !== "") return text;
      await setTimeout(LOOK_AGAIN_MS, undefined, { signal: deadline.signal });
    }
  });
  await step("crictl exec: uname -r", async () => {
    const kernel = await said(work, ["exec", id, "uname", "-r"], deadline);
    if (kernel === release()) throw failure("tell apart", "guest and host", `both run ${kernel}`);
    return kernel;
  });
}

async function said(work: Workloads, args: readonly string[], deadline: Deadline): Promise<string> {
  const { exitCode, stdout, stderr } = await work.crictl(args, deadline);
  if (exitCode !== 0) throw failure("run", `crictl ${args.join(" ")}`, stderr.trim());
  return stdout.trim();
}

const failure = (operation: string, object: string, cause: string): TapirError =>
  new TapirError({ code: Code.UNKNOWN, operation, object, cause });
