import koffi from "koffi";
import { errnoNumber } from "./errno.ts";
import { systemError } from "./error.ts";
import { check, libc } from "./libc.ts";

/** MS_* of mount(2). */
export const MS = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  REMOUNT: 32,
  BIND: 4096,
  MOVE: 8192,
  REC: 16384,
  PRIVATE: 1 << 18,
  SLAVE: 1 << 19,
  SHARED: 1 << 20,
} as const;
const MNT_DETACH = 2;

export interface MountRequest {
  readonly source: string;
  readonly target: string;
  /** File system type; "" for bind and propagation changes. */
  readonly type: string;
  /** MS_* or-ed together. */
  readonly flags?: number;
  readonly data?: string;
}

/** mount(2). */
export function mount(request: MountRequest): void {
  const { source, target, type, flags = 0, data = "" } = request;
  check(
    libc.mount(source, target, type === "" ? null : type, flags, data === "" ? null : data),
    "mount",
    `${type === "" ? source : `${type} ${source}`} on ${target}`,
  );
}

/** Detaches whatever is mounted on `target`, layer by layer; nothing mounted there is fine (umount2(2)). */
export function unmount(target: string): void {
  while (libc.umount2(target, MNT_DETACH) === 0);
  const errno = errnoNumber.nameOf(koffi.errno());
  if (errno !== "EINVAL" && errno !== "ENOENT") {
    throw systemError(errno, { operation: "unmount", object: target });
  }
}

/**
 * Detaches one layer of what is mounted on `target`, if there is one, in a thread of the pool: the last user of a file
 * system may have to wait for its server.
 */
export function unmountWaiting(target: string): Promise<void> {
  return new Promise((resolve, reject) => {
    libc.umount2.async(target, MNT_DETACH, (error: Error | null, result: number) => {
      const errno = errnoNumber.nameOf(koffi.errno());
      if (error !== null) reject(error);
      else if (result === 0 || errno === "EINVAL" || errno === "ENOENT") resolve();
      else reject(systemError(errno, { operation: "unmount", object: target }));
    });
  });
}

/**
 * mount(2) in a thread of the pool: the server of a network or user-space file system may take its time to answer, or
 * never answer.
 */
export function mountWaiting(request: MountRequest): Promise<void> {
  const { source, target, type, flags = 0, data = "" } = request;
  const object = `${type === "" ? source : `${type} ${source}`} on ${target}`;
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, result: number): void => {
      // The call's own errno: koffi keeps it for the callback.
      if (error !== null) reject(error);
      else if (result === 0) resolve();
      else reject(systemError(koffi.errno(), { operation: "mount", object }));
    };
    libc.mount.async(source, target, type === "" ? null : type, flags, data === "" ? null : data, done);
  });
}
