import { closeSync, constants, openSync, readFileSync } from "node:fs";
import { detachedMount } from "./detached-mount.ts";
import { TapirError, wrapError } from "./error.ts";
import { closeAll } from "./fdpass.ts";
import { check, libc } from "./libc.ts";
import { inNetns } from "./netns.ts";
import { Code } from "./status.ts";

const SYS_MKNODAT = process.arch === "x64" ? 259 : 33;
const AT_FDCWD = -100;
const S_IFCHR = 0o020000;
/** linux/if_tun.h; struct ifreq: the name, then the flags. */
const TUNSETIFF = 0x4004_54ca;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const IFF_MULTI_QUEUE = 0x0100;
const IFREQ_BYTES = 40;
const IFNAMSIZ = 16;

export interface MacvtapRequest {
  /** Path of the namespace in which the macvtap is. */
  readonly netns: string;
  readonly name: string;
  readonly index: number;
  /** Descriptors to open: one per queue. */
  readonly queues: number;
}

/**
 * Opens a macvtap: one descriptor per queue, closed on exec, each frame behind a virtio-net header as with a tap.
 *
 * A macvtap has a character device. The node that the kernel itself makes of it, /dev/tap<index>, is a stranger's where
 * two namespaces have a link of that index; so the number is read in the namespace's own sysfs, and the device opened
 * through a node on a tmpfs that nobody sees and that is gone with its descriptor.
 */
export function openMacvtap({ netns, name, index, queues }: MacvtapRequest): number[] {
  const object = `macvtap ${name} in netns ${netns}`;
  const fds: number[] = [];
  try {
    inNetns(netns, () => {
      const device = readDevice(index, object);
      const place = detachedMount("tmpfs");
      try {
        const node = `/proc/self/fd/${place}/tap`;
        check(Number(libc.mknodat(SYS_MKNODAT, AT_FDCWD, node, S_IFCHR | 0o600, device)), "open", object);
        for (let queue = 0; queue < queues; queue++) {
          const fd = openSync(node, constants.O_RDWR | constants.O_NONBLOCK);
          fds.push(fd);
          const ifreq = Buffer.alloc(IFREQ_BYTES);
          ifreq.writeUInt16LE(
            IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (queues > 1 ? IFF_MULTI_QUEUE : 0),
            IFNAMSIZ,
          );
          check(libc.ioctl(fd, TUNSETIFF, ifreq), "open", object);
        }
      } finally {
        closeSync(place);
      }
    });
    return fds;
  } catch (error) {
    closeAll(fds);
    throw wrapError(error, { operation: "open", object });
  }
}

/** The device's number as the kernel encodes it (new_encode_dev: 12 bits of the major between 8 and 12 of the minor). */
function readDevice(index: number, object: string): number {
  const sysfs = detachedMount("sysfs");
  try {
    const text = readFileSync(`/proc/self/fd/${sysfs}/class/macvtap/tap${index}/dev`, "latin1");
    const [major, minor] = text.trim().split(":").map(Number);
    if (major === undefined || minor === undefined) {
      const cause = `its device number reads ${JSON.stringify(text)}`;
      throw new TapirError({ code: Code.INTERNAL, operation: "open", object, cause });
    }
    return (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12);
  } finally {
    closeSync(sysfs);
  }
}
