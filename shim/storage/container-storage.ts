import type { DeviceSource, MountSource, Storage } from "../../proto/gen/tapir/agent/v1/container.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { wrapError } from "../../sys/error.ts";
import type { GuestContainers } from "../containers-client.ts";
import type { OciMount } from "../sandbox/oci.ts";
import type { ContainerStorage, StorageRequest } from "../sandbox/workload-storage.ts";
import { planDevices } from "./device-plan.ts";
import { type Disks, hostDevices } from "./disks.ts";
import { isBind, type MountPlan, planMount } from "./mount-plan.ts";
import { type PodShare, SHARE } from "./pod-share.ts";
import { planRootfs, type RootfsPlan } from "./rootfs-plan.ts";
import type { ContainerFolder } from "./share-folder.ts";
import { readSource } from "./sources.ts";

export interface ContainerContext {
  readonly share: Promise<PodShare>;
  readonly containers: GuestContainers;
  readonly disks: Disks;
  vmIsGone(): boolean;
}

/** Looks at what the container wants, plans, then applies: when it rejects, nothing of it stays. */
export async function prepareContainer(
  context: ContainerContext,
  request: StorageRequest,
  deadline: Deadline,
): Promise<ContainerStorage> {
  const { containerId, spec } = request;
  const { disks } = context;
  const rootfs = planRootfs({ ...request, rootPath: spec.rootPath });
  const plans = await Promise.all(spec.mounts.map((mount) => deadline.race(planOf(mount))));
  const devices = planDevices(spec, hostDevices);

  const { folder: share, view } = await deadline.race(context.share);
  const folder = await share.open(containerId, view);
  const plugged: string[] = [];
  const release = async (releasing: Deadline): Promise<void> => {
    for (let name = plugged.at(-1); name !== undefined; name = plugged.at(-1)) {
      if (!context.vmIsGone()) await disks.unplug(name, releasing);
      plugged.pop();
    }
    await folder.release();
  };
  const plug: Disks["plug"] = async (...disk) => {
    const name = await disks.plug(...disk);
    plugged.push(name);
    return name;
  };
  const applying: Applying = { ...context, folder, plug, deadline };
  try {
    const root = await applyRootfs(applying, rootfs);
    const mountSources: MountSource[] = [];
    for (const [index, plan] of plans.entries()) {
      const source = await applyMount(applying, index, plan);
      if (source !== undefined) mountSources.push({ index, ...source });
    }
    const deviceSources: DeviceSource[] = [];
    for (const { path, hostPath, readOnly, ...device } of devices) {
      deviceSources.push({ path, serial: await plug(hostPath, { readOnly, device }, deadline) });
    }
    return { ...root, mountSources, deviceSources, release };
  } catch (error) {
    // What cannot be given back now is in the ledger.
    await release(deadline).catch(() => undefined);
    throw error;
  }
}

interface Applying extends ContainerContext {
  readonly folder: ContainerFolder;
  readonly plug: Disks["plug"];
  readonly deadline: Deadline;
}

async function planOf(mount: OciMount): Promise<MountPlan> {
  try {
    return planMount(mount, isBind(mount) ? await readSource(mount.source) : undefined);
  } catch (error) {
    throw wrapError(error, { operation: "prepare", object: `mount ${mount.destination}` });
  }
}

async function applyRootfs(
  { folder, plug, deadline }: Applying,
  plan: RootfsPlan,
): Promise<Pick<ContainerStorage, "storages" | "rootfs">> {
  switch (plan.kind) {
    case "folder": {
      const readOnly = plan.readOnly ? "top" : "no";
      const source = { source: plan.source, recursive: true, readOnly, propagation: "private" } as const;
      const path = await folder.bind("rootfs", source);
      return { storages: [], rootfs: { storageId: SHARE, path } };
    }
    case "mounts": {
      const path = await folder.mount("rootfs", plan.mounts);
      return { storages: [], rootfs: { storageId: SHARE, path } };
    }
    case "disk": {
      const { blockDevice } = await plugFileSystem(plug, plan, deadline);
      const storage: Storage = { id: blockDevice.serial, blockDevice };
      return { storages: [storage], rootfs: { storageId: storage.id, path: "" } };
    }
  }
}

/** Undefined for what the guest has by itself. */
async function applyMount(
  { containers, folder, plug, deadline }: Applying,
  index: number,
  plan: MountPlan,
): Promise<Omit<MountSource, "index"> | undefined> {
  switch (plan.kind) {
    case "guest":
      return undefined;
    case "share": {
      const path = await folder.bind(`mount-${index}`, plan);
      return { storage: { storageId: SHARE, path }, hostReadOnly: plan.hostReadOnly };
    }
    case "memory": {
      const { id, path, ...tmpfs } = plan.volume;
      // Of the pod, not of the container: what one wrote, the next one finds.
      await containers.addStorage({ storage: { id, tmpfs } }, deadline);
      return { storage: { storageId: id, path } };
    }
    case "disk":
      return plugFileSystem(plug, plan, deadline);
  }
}

async function plugFileSystem(
  plug: Disks["plug"],
  { source, fileSystem, options }: { source: string; fileSystem: string; options: readonly string[] },
  deadline: Deadline,
): Promise<{ blockDevice: NonNullable<Storage["blockDevice"]> }> {
  const serial = await plug(source, { readOnly: options.includes("ro") }, deadline);
  return { blockDevice: { serial, fileSystem, options: options.filter((option) => option !== "loop") } };
}
