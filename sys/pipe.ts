import { check, libc } from "./libc.ts";

/** Both ends of a pipe; close-on-exec, owned by the caller. */
export interface Pipe {
  readonly read: number;
  readonly write: number;
}

const O_CLOEXEC = 0o2000000;
const F_SETPIPE_SZ = 1031;

/** pipe2(2). `capacity` in bytes is a wish: the kernel may have none to give (fcntl(2), F_SETPIPE_SZ). */
export function makePipe(capacity?: number): Pipe {
  const ends = [-1, -1];
  check(libc.pipe2(ends, O_CLOEXEC), "create", "pipe", "raise the limit of open files (ulimit -n)");
  const [read = -1, write = -1] = ends;
  if (capacity !== undefined) libc.fcntl(write, F_SETPIPE_SZ, capacity);
  return { read, write };
}
