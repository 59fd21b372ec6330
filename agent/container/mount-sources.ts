import { chmodSync, chownSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import type { CreateContainerRequest, MountSource } from "../../proto/gen/tapir/agent/v1/container.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { wrapError } from "../../sys/error.ts";
import { findDisk } from "../storage/disk.ts";
import type { Storages } from "../storage/storages.ts";
import { tmpfsOptions } from "../storage/tmpfs.ts";
import type { DeviceNode } from "./devices.ts";
import type { PlacedMount } from "./mounts.ts";
import type { OciMount } from "./oci.ts";
import { containerFolder } from "./paths.ts";

const DEFAULT_FILE_MODE = 0o644;

/** Makes what the container's mounts show, so that it lasts as long as the container. */
export async function placeMounts(
  { containerId, mountSources }: CreateContainerRequest,
  wanted: readonly OciMount[],
  storages: Storages,
  deadline: Deadline,
): Promise<Map<number, PlacedMount>> {
  const placed = new Map<number, PlacedMount>();
  for (const source of mountSources) {
    const mount = wanted[source.index];
    try {
      placed.set(
        source.index,
        await placeMount(containerId, source, mount?.options ?? [], storages, deadline),
      );
    } catch (error) {
      throw wrapError(error, { operation: "mount", object: mount?.destination ?? `mount ${source.index}` });
    }
  }
  return placed;
}

async function placeMount(
  id: string,
  { index, storage, tmpfs, blockDevice, file, hostReadOnly }: MountSource,
  options: readonly string[],
  storages: Storages,
  deadline: Deadline,
): Promise<PlacedMount> {
  if (storage !== undefined) {
    return { kind: "bind", path: await storages.resolve(storage, id, deadline), hostReadOnly };
  }
  if (tmpfs !== undefined) return { kind: "tmpfs", options: tmpfsOptions(tmpfs) };
  if (blockDevice !== undefined) {
    // No id has a colon: it is nobody else's.
    const storageId = `${id}:${index}`;
    const readOnly = options.filter((option) => option === "ro");
    const disk = { ...blockDevice, options: [...blockDevice.options, ...readOnly] };
    await storages.add({ id: storageId, blockDevice: disk }, id, deadline);
    return { kind: "bind", path: await storages.resolve({ storageId, path: "" }, id, deadline) };
  }
  if (file !== undefined) {
    const folder = `${containerFolder(id)}/files`;
    mkdirSync(folder, { recursive: true });
    const path = `${folder}/${index}`;
    writeOwned(path, file.content, file.mode === 0 ? DEFAULT_FILE_MODE : file.mode, file.uid, file.gid);
    return { kind: "bind", path };
  }
  return { kind: "skip" };
}

function writeOwned(path: string, content: Buffer, mode: number, uid: number, gid: number): void {
  writeFileSync(path, content);
  chownSync(path, uid, gid);
  chmodSync(path, mode);
}

/** The disks that device nodes of the spec are. */
export async function placeDisks(
  { deviceSources }: CreateContainerRequest,
  deadline: Deadline,
): Promise<Map<string, DeviceNode>> {
  const disks = new Map<string, DeviceNode>();
  for (const { path, serial } of deviceSources) {
    const { major, minor } = await findDisk(serial, deadline);
    disks.set(path, { type: "b", major, minor });
  }
  return disks;
}

/** What the guest has at a path below /dev; the agent's way to the host is nobody else's. */
export function guestDevice(path: string): DeviceNode | undefined {
  if (!path.startsWith("/dev/") || path.startsWith("/dev/vport")) return undefined;
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || (!stat.isBlockDevice() && !stat.isCharacterDevice())) return undefined;
  // makedev(3): the major number in bits 8 to 19 and 32 up, the minor in the others.
  const major = ((stat.rdev >>> 8) & 0xfff) | (Math.floor(stat.rdev / 2 ** 32) & ~0xfff);
  const minor = (stat.rdev & 0xff) | ((stat.rdev >>> 12) & ~0xff);
  return { type: stat.isBlockDevice() ? "b" : "c", major, minor };
}
