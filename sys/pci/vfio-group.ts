import { closeSync, constants, openSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { Deadline } from "../deadline.ts";
import { errnoOf, wrapError } from "../error.ts";
import { check, libc } from "../libc.ts";

/** linux/vfio.h */
const VFIO_GROUP_GET_STATUS = 0x3b67;
const STATUS_BYTES = 8;
const VIABLE = 1;
const AGAIN_MS = 20;

/** Of every group; a process needs it and the group's own. */
export const VFIO_CONTAINER = "/dev/vfio/vfio";

/** The node by which whoever may open it gets all devices of a group. */
export const vfioGroupNode = (group: string): string => `/dev/vfio/${group}`;

/**
 * Whether a process can have the group: every device of it has vfio-pci or no driver. False when there is no such group: none
 * of its devices has vfio-pci. EBUSY: a process has it.
 */
export function isGroupViable(group: string): boolean {
  const node = vfioGroupNode(group);
  let fd: number;
  try {
    fd = openSync(node, constants.O_RDWR);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw wrapError(error, { operation: "open", object: node });
  }
  try {
    const status = Buffer.alloc(STATUS_BYTES);
    status.writeUInt32LE(STATUS_BYTES, 0);
    check(libc.ioctl(fd, VFIO_GROUP_GET_STATUS, status), "ask the state of", node);
    return (status.readUInt32LE(4) & VIABLE) !== 0;
  } finally {
    closeSync(fd);
  }
}

/** Waits until no process has the group: the driver would wait for it, and whoever asked the driver with it. */
export async function groupIsFree(group: string, deadline: Deadline): Promise<void> {
  for (;;) {
    try {
      isGroupViable(group);
      return;
    } catch (error) {
      // Nothing tells when it is closed.
      if (errnoOf(error) !== "EBUSY" || deadline.remainingMs() <= AGAIN_MS) throw error;
      await pause(AGAIN_MS);
    }
  }
}
