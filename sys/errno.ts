import { constants } from "node:os";

type Errno = typeof constants.errno;
/** "ENOENT", "EEXIST", ... */
export type ErrnoName = keyof Errno & string;

const texts: Partial<Record<ErrnoName, string>> = {
  EPERM: "operation not permitted",
  ENOENT: "no such file or directory",
  ESRCH: "no such process",
  EIO: "input/output error",
  ENXIO: "no such device or address",
  EBADF: "bad file descriptor",
  EAGAIN: "resource temporarily unavailable",
  ENOMEM: "cannot allocate memory",
  EACCES: "permission denied",
  EBUSY: "device or resource busy",
  EEXIST: "file exists",
  EXDEV: "invalid cross-device link",
  ENODEV: "no such device",
  ENOTDIR: "not a directory",
  EISDIR: "is a directory",
  EINVAL: "invalid argument",
  ENFILE: "too many open files in system",
  EMFILE: "too many open files",
  ENOTTY: "inappropriate ioctl for device",
  ENOSPC: "no space left on device",
  EPIPE: "broken pipe",
  ERANGE: "numerical result out of range",
  ENAMETOOLONG: "file name too long",
  ENOSYS: "function not implemented",
  ENOTEMPTY: "directory not empty",
  EOPNOTSUPP: "operation not supported",
  EAFNOSUPPORT: "address family not supported",
  EADDRINUSE: "address already in use",
  EADDRNOTAVAIL: "cannot assign requested address",
  ENETDOWN: "network is down",
  ENETUNREACH: "network is unreachable",
  ECONNRESET: "connection reset by peer",
  ENOTCONN: "transport endpoint is not connected",
  ETIMEDOUT: "connection timed out",
  ECONNREFUSED: "connection refused",
  EHOSTUNREACH: "no route to host",
};

const names = new Map<number, ErrnoName>();
for (const [name, number] of Object.entries(constants.errno)) {
  // EAGAIN/EWOULDBLOCK and EOPNOTSUPP/ENOTSUP share numbers: the first, usual name wins.
  if (!names.has(number) || name === "EAGAIN" || name === "EOPNOTSUPP") names.set(number, name as ErrnoName);
}

export function isErrnoName(name: string): name is ErrnoName {
  return Object.hasOwn(constants.errno, name);
}

/** Numbers, names and texts of errno (errno(3)). */
export const errnoNumber = {
  of(name: ErrnoName): number {
    return constants.errno[name];
  },
  nameOf(number: number): ErrnoName {
    return names.get(Math.abs(number)) ?? "EIO";
  },
  textOf(name: ErrnoName): string {
    return texts[name] ?? name.toLowerCase();
  },
} as const;
