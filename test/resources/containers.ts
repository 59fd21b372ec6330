import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { PodConfig } from "../harness/crictl.ts";
import type { TestNode } from "../harness/node.ts";
import { PAUSE_IMAGE } from "../harness/pause-image.ts";
import type { RunResult } from "../harness/run.ts";

/** A ContainerConfig of the CRI; only the fields that tests set. */
export interface ContainerWish {
  /** For the shell of the image. */
  readonly script: string;
  readonly resources?: Readonly<Record<string, number>>;
  readonly mounts?: readonly Readonly<Record<string, string | boolean | number>>[];
  readonly devices?: readonly { container_path: string; host_path: string; permissions: string }[];
}

/** A pod whose containers come and go by crictl. */
export interface TestPod {
  readonly id: string;
  /** Makes and starts a container; returns its id. */
  run(name: string, wish: ContainerWish): Promise<string>;
  create(name: string, wish: ContainerWish): Promise<string>;
  /** What a shell in a container says; a failing command is an error. */
  exec(container: string, script: string): Promise<string>;
  inspect(container: string): Promise<ContainerStatus>;
  /** Ends and removes a container. */
  remove(container: string): Promise<void>;
}

export interface ContainerStatus {
  readonly state: string;
  readonly reason: string;
  readonly exitCode: number;
}

const soon = (): Deadline => deadlineIn(60_000, "test");
/** For a container that is to be there. */
export const FOREVER = "trap 'exit 0' TERM; while :; do busybox usleep 3600000000 & wait $!; done";

export async function startPod(
  node: TestNode,
  name: string,
  runtime: "tapir" | "runc" = "tapir",
  change: Partial<PodConfig> = {},
): Promise<TestPod> {
  const config = node.podConfig(name, change);
  const podFile = join(node.directory, `${name}.json`);
  writeFileSync(podFile, JSON.stringify(config));
  const id = await node.crictl.runp(config, runtime, soon());
  const create = async (
    container: string,
    { script, resources, ...rest }: ContainerWish,
  ): Promise<string> => {
    const file = join(node.directory, `${name}-${container}.json`);
    const wish = {
      metadata: { name: container },
      image: { image: PAUSE_IMAGE },
      command: ["/bin/sh", "-c", script],
      linux: { resources: resources ?? {} },
      ...rest,
    };
    writeFileSync(file, JSON.stringify(wish));
    return crictlOk(node, ["create", id, file, podFile]);
  };
  return {
    id,
    create,
    async run(container, wish) {
      const made = await create(container, wish);
      await crictlOk(node, ["start", made]);
      return made;
    },
    exec: (container, script) => crictlOk(node, ["exec", "--sync", container, "/bin/sh", "-c", script]),
    async inspect(container) {
      const text = await crictlOk(node, ["inspect", "--output", "json", container]);
      const { status } = JSON.parse(text) as { status: Partial<ContainerStatus> };
      return { state: status.state ?? "", reason: status.reason ?? "", exitCode: status.exitCode ?? 0 };
    },
    async remove(container) {
      await crictlOk(node, ["stop", "--timeout", "1", container]);
      await crictlOk(node, ["rm", container]);
    },
  };
}

export async function crictlOk(node: TestNode, args: readonly string[]): Promise<string> {
  const result = await node.crictl.run(args, soon());
  return outputOf(`crictl ${args.join(" ")}`, result);
}

function outputOf(object: string, { exitCode, stdout, stderr }: RunResult): string {
  if (exitCode === 0) return stdout.trim();
  throw new TapirError({ code: Code.UNKNOWN, operation: "run", object, cause: `${stderr}${stdout}`.trim() });
}
