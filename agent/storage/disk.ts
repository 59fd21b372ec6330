import { readdirSync, readFileSync } from "node:fs";
import type { Deadline } from "../../sys/deadline.ts";
import { errnoOf } from "../../sys/error.ts";
import { watchUevents } from "../../sys/uevent.ts";

const BLOCK_DEVICES = "/sys/block";

export interface Disk {
  /** Path of its node. */
  readonly path: string;
  readonly major: number;
  readonly minor: number;
}

/** The virtio-blk disk with this serial, once it is there: hot-plug takes a moment. */
export async function findDisk(serial: string, deadline: Deadline): Promise<Disk> {
  return whenPresent(
    () => diskBySerial(serial),
    deadline.within(deadline.remainingMs(), `wait for disk ${serial}`),
  );
}

/** Asks `find` now and after each event of the kernel's device model until it has something. */
async function whenPresent<T>(find: () => T | undefined, deadline: Deadline): Promise<T> {
  const found = find();
  if (found !== undefined) return found;
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const look = (): void => {
    try {
      const present = find();
      if (present !== undefined) resolve(present);
    } catch (error) {
      reject(error);
    }
  };
  using _watch = watchUevents(look);
  look();
  return await deadline.race(promise);
}

function diskBySerial(serial: string): Disk | undefined {
  for (const name of readdirSync(BLOCK_DEVICES)) {
    if (read(`${name}/serial`) !== serial) continue;
    const [major, minor] = (read(`${name}/dev`) ?? "").split(":").map(Number);
    if (major !== undefined && minor !== undefined) return { path: `/dev/${name}`, major, minor };
  }
  return undefined;
}

/** Devices of other drivers have no serial, and one may go while it is looked at. */
function read(path: string): string | undefined {
  try {
    return readFileSync(`${BLOCK_DEVICES}/${path}`, "latin1").trim();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENODEV" || errno === "EIO") return undefined;
    throw error;
  }
}
