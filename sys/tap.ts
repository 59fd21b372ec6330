import { closeSync, constants, openSync } from "node:fs";
import { errnoOf, TapirError, wrapError } from "./error.ts";
import { check, libc } from "./libc.ts";
import { inNetns } from "./netns.ts";
import { Code } from "./status.ts";

/** linux/if_tun.h */
const TUNSETIFF = 0x4004_54ca;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_MULTI_QUEUE = 0x0100;
const IFF_VNET_HDR = 0x4000;
/** A tap of that name must not exist yet. */
const IFF_TUN_EXCL = 0x8000;
/** struct ifreq: the name, then the flags. */
const IFREQ_BYTES = 40;
const IFNAMSIZ = 16;

const TUN = "/dev/net/tun";
const VHOST_NET = "/dev/vhost-net";

export interface TapRequest {
  /** Path of the namespace the tap is made in. */
  readonly netns: string;
  /** At most 15 bytes; must be free in that namespace. */
  readonly name: string;
  /** Descriptors to open: one per queue. */
  readonly queues: number;
}

/**
 * Makes a tap and returns one descriptor per queue, closed on exec. The tap is not persistent: it goes with the last
 * of its descriptors. Every frame starts with a virtio-net header; its size and the offloads are left to QEMU, which
 * sets both on the descriptors it is given (net/tap.c). EBUSY: the name is taken.
 */
export function openTap(request: TapRequest): number[] {
  const { netns, name, queues } = request;
  const object = `tap ${name} in netns ${netns}`;
  if (Buffer.byteLength(name) >= IFNAMSIZ) {
    const cause = `its name is longer than ${IFNAMSIZ - 1} bytes`;
    throw new TapirError({ code: Code.INVALID_ARGUMENT, operation: "open", object, cause });
  }
  const flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (queues > 1 ? IFF_MULTI_QUEUE : 0);
  const fds: number[] = [];
  try {
    // The namespace counts twice: the descriptor is bound to it by open, the link by the ioctl.
    inNetns(netns, () => {
      for (let queue = 0; queue < queues; queue++) {
        const fd = openTun(object);
        fds.push(fd);
        const ifreq = Buffer.alloc(IFREQ_BYTES);
        ifreq.write(name, 0);
        ifreq.writeUInt16LE(queue === 0 ? flags | IFF_TUN_EXCL : flags, IFNAMSIZ);
        check(libc.ioctl(fd, TUNSETIFF, ifreq), "open", object);
      }
    });
  } catch (error) {
    for (const fd of fds) closeSync(fd);
    throw error;
  }
  return fds;
}

function openTun(object: string): number {
  try {
    return openSync(TUN, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    throw wrapError(error, {
      operation: "open",
      object,
      hint: isAbsent(error) ? `load the kernel module that brings ${TUN}: modprobe tun` : "run as root",
    });
  }
}

/** Whether `openVhostNet` gives descriptors here. */
export function hasVhostNet(): boolean {
  const fds = openVhostNet(1);
  for (const fd of fds) closeSync(fd);
  return fds.length > 0;
}

/** One vhost-net descriptor per queue, closed on exec; none where the host has no vhost-net. */
export function openVhostNet(queues: number): number[] {
  const fds: number[] = [];
  try {
    for (let queue = 0; queue < queues; queue++) fds.push(openSync(VHOST_NET, constants.O_RDWR));
    return fds;
  } catch (error) {
    for (const fd of fds) closeSync(fd);
    if (isAbsent(error)) return [];
    throw wrapError(error, { operation: "open", object: VHOST_NET });
  }
}

/** No device node, or a node without a driver behind it. */
function isAbsent(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === "ENOENT" || errno === "ENODEV" || errno === "ENXIO";
}
