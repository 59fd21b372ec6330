import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import type {
  CreateContainerRequest,
  CreateContainerResponse,
  StoragePath,
} from "../../proto/gen/tapir/agent/v1/container.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { reasonOf } from "../../sys/error.ts";
import { log } from "../log.ts";
import type { Exits, ProcessExit } from "../process/exits.ts";
import type { Storages } from "../storage/storages.ts";
import { cgroupOf } from "./cgroup.ts";
import type { Container } from "./container.ts";
import { runCrun } from "./crun.ts";
import { guestHugePages } from "./huge-pages.ts";
import { launch } from "./launch.ts";
import { guestDevice, placeDisks, placeMounts } from "./mount-sources.ts";
import { sharesPids } from "./namespaces.ts";
import { watchOom } from "./oom.ts";
import { parseSpec } from "./parse-spec.ts";
import { containerCgroup, containerFolder } from "./paths.ts";
import type { Pod } from "./pod.ts";
import { guestSpec } from "./spec.ts";
import { setSysctls } from "./sysctl.ts";

/** What the making of containers needs of the guest. */
export interface Workshop {
  readonly storages: Storages;
  readonly pod: Pod;
  readonly exits: Exits;
  /** Path of the PID namespace of another container. */
  pidsOf(id: string): string;
  onInitExit(container: Container, exit: ProcessExit, pid: number): void;
  onOomKill(container: Container, kills: bigint): void;
}

const NO_STDIO = { stdin: false, stdout: false, stderr: false };
const UNDO_MS = 10_000;

/** Makes the container; nothing of it is left when this throws or tells of a failed command. */
export async function createContainer(
  container: Container,
  request: CreateContainerRequest,
  workshop: Workshop,
  deadline: Deadline,
): Promise<CreateContainerResponse> {
  const { id } = container;
  const object = `container ${id}`;
  try {
    const { bundle, process, ignored } = await writeBundle(request, workshop, deadline);
    const created = await container.inTurn(
      () =>
        launch(
          {
            operation: "create",
            object,
            command: ["create", `--bundle=${bundle}`],
            operand: id,
            process,
            stdio: request.stdio ?? NO_STDIO,
            onExit: (exit, pid) => workshop.onInitExit(container, exit, pid),
          },
          workshop.exits,
          deadline,
        ),
      deadline,
    );
    if (created.kind === "failed") {
      await undoCreate(id, workshop);
      return { pid: 0, failure: created.failure, ignored };
    }
    container.oom = watchOom(container.cgroup, (kills) => workshop.onOomKill(container, kills));
    const init = created.process;
    container.happen({ kind: "created", init });
    if (init.exit !== undefined) container.happen({ kind: "exited", exit: init.exit });
    return { pid: init.pid, ignored };
  } catch (error) {
    await undoCreate(id, workshop);
    throw error;
  }
}

async function writeBundle(request: CreateContainerRequest, workshop: Workshop, deadline: Deadline) {
  const { containerId: id, rootfs } = request;
  const { storages, pod } = workshop;
  const wanted = parseSpec(request.spec);
  const process = wanted.process ?? {};
  for (const storage of request.storages) await storages.add(storage, id, deadline);
  const root = await storages.resolve(rootfs ?? NOWHERE, id, deadline);
  const { spec, sysctls, ignored } = guestSpec(wanted, {
    rootfs: root,
    cgroup: containerCgroup(id),
    mounts: await placeMounts(request, wanted.mounts ?? [], storages, deadline),
    disks: await placeDisks(request, deadline),
    device: guestDevice,
    sharedMemory: pod.sharedMemory(),
    hugePages: guestHugePages(),
    sharedPids: sharedPids(request, workshop, sharesPids(wanted.linux?.namespaces ?? [])),
  });
  setSysctls(sysctls);
  const bundle = containerFolder(id);
  mkdirSync(bundle, { recursive: true });
  writeFileSync(`${bundle}/config.json`, JSON.stringify(spec));
  return { bundle, process, ignored };
}

const NOWHERE: StoragePath = { storageId: "", path: "" };

function sharedPids(
  { pidNamespaceOf }: CreateContainerRequest,
  { pod, pidsOf }: Workshop,
  shares: boolean,
): string | undefined {
  if (!shares) return undefined;
  return pidNamespaceOf === "" ? pod.sharedPids() : pidsOf(pidNamespaceOf);
}

async function undoCreate(id: string, workshop: Workshop): Promise<void> {
  try {
    await clearContainer(id, workshop.storages, deadlineIn(UNDO_MS, `remove container ${id}`));
  } catch (error) {
    log("undo failed", { container: id, error: reasonOf(error) });
  }
}

/** Removes what crun and the agent keep of a container whose processes are gone or may be killed. Idempotent. */
export async function clearContainer(id: string, storages: Storages, deadline: Deadline): Promise<void> {
  const cgroup = cgroupOf(id);
  cgroup.kill();
  await cgroup.emptied(deadline);
  // With --force, one that crun does not know is fine.
  await runCrun(["delete", "--force", id], `container ${id}`, deadline);
  // crun forgets one that it had not finished.
  cgroup.remove();
  await storages.release(id, deadline);
  rmSync(containerFolder(id), { recursive: true, force: true });
}
