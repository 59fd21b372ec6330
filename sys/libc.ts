import koffi from "koffi";
import { systemError } from "./error.ts";

/**
 * The libc functions Tapir calls, bound once per process. Each returns what C returns;
 * `check` turns -1 into a TapirError that carries errno. Nothing here decides anything.
 */
const lib = koffi.load("libc.so.6");

export const libc = {
  open: lib.func("int open(const char *path, int flags, int mode)"),
  close: lib.func("int close(int fd)"),
  dup: lib.func("int dup(int fd)"),
  dup3: lib.func("int dup3(int from, int to, int flags)"),
  pipe2: lib.func("int pipe2(_Out_ int *fds, int flags)"),
  /** For descriptors that say EAGAIN all day: node:fs would throw, with a stack, each time. */
  read: lib.func("long read(int fd, void *buffer, unsigned long length)"),
  write: lib.func("long write(int fd, const void *buffer, unsigned long length)"),
  fcntl: lib.func("int fcntl(int fd, int cmd, int arg)"),
  setns: lib.func("int setns(int fd, int nstype)"),
  unshare: lib.func("int unshare(int flags)"),
  ioctl: lib.func("int ioctl(int fd, unsigned long request, void *arg)"),
  mount: lib.func(
    "int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)",
  ),
  chdir: lib.func("int chdir(const char *path)"),
  fchdir: lib.func("int fchdir(int fd)"),
  chroot: lib.func("int chroot(const char *path)"),
  pivotRoot: lib.func("int pivot_root(const char *newRoot, const char *putOld)"),
  umount2: lib.func("int umount2(const char *target, int flags)"),
  connect: lib.func("int connect(int fd, const void *address, unsigned int length)"),
  sendmsg: lib.func("long sendmsg(int fd, const void *message, int flags)"),
  recvmsg: lib.func("long recvmsg(int fd, const void *message, int flags)"),
  socket: lib.func("int socket(int domain, int type, int protocol)"),
  bind: lib.func("int bind(int fd, const void *address, unsigned int length)"),
  listen: lib.func("int listen(int fd, int backlog)"),
  accept4: lib.func("int accept4(int fd, void *address, void *length, int flags)"),
  socketpair: lib.func("int socketpair(int domain, int type, int protocol, _Out_ int *fds)"),
  getsockname: lib.func("int getsockname(int fd, void *address, void *length)"),
  getsockopt: lib.func("int getsockopt(int fd, int level, int option, void *value, void *length)"),
  setsockopt: lib.func(
    "int setsockopt(int fd, int level, int option, const void *value, unsigned int length)",
  ),
  sethostname: lib.func("int sethostname(const char *name, unsigned long length)"),
  reboot: lib.func("int reboot(int command)"),
  prctl: lib.func(
    "int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)",
  ),
  clock_settime: lib.func("int clock_settime(int clock, const void *timespec)"),
  waitpid: lib.func("int waitpid(int pid, _Out_ int *status, int options)"),
  poll: lib.func("int poll(void *fds, unsigned long count, int timeoutMs)"),
  epoll_create1: lib.func("int epoll_create1(int flags)"),
  epoll_ctl: lib.func("int epoll_ctl(int epoll, int operation, int fd, void *event)"),
  epoll_wait: lib.func("int epoll_wait(int epoll, void *events, int count, int timeoutMs)"),
  eventfd: lib.func("int eventfd(unsigned int initial, int flags)"),
  /** Only for calls that take integers: the pidfd family, close_range(2). */
  syscall: lib.func("long syscall(long number, long a, long b, long c, long d)"),
  /** bpf(2), which the C library does not wrap: `number` is the system call's. */
  bpf: lib.func("long syscall(long number, long command, const void *attributes, unsigned long size)"),
  openat2: lib.func(
    "long syscall(long number, int directory, const char *path, const void *how, size_t size)",
  ),
  /** The mount API of descriptors, which glibc has no functions for before 2.36. */
  openTree: lib.func("long syscall(long number, int directory, const char *path, unsigned int flags)"),
  moveMount: lib.func(
    "long syscall(long number, int from, const char *fromPath, int to, const char *toPath, unsigned int flags)",
  ),
  mountSetattr: lib.func(
    "long syscall(long number, int directory, const char *path, unsigned int flags, const void *attributes, size_t size)",
  ),
  fsopen: lib.func("long syscall(long number, const char *type, unsigned int flags)"),
  fsconfig: lib.func(
    "long syscall(long number, int context, unsigned int command, const char *key, const void *value, int aux)",
  ),
  fsmount: lib.func("long syscall(long number, int context, unsigned int flags, unsigned int attributes)"),
  /** mknodat(2): glibc has mknod() only since 2.33. */
  mknodat: lib.func(
    "long syscall(long number, int directory, const char *path, unsigned int mode, unsigned int device)",
  ),
  sync: lib.func("void sync()"),
  malloc_trim: lib.func("int malloc_trim(size_t keep)"),
  mmap: lib.func("void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset)"),
  munmap: lib.func("int munmap(void *address, size_t length)"),
  memfd_create: lib.func("int memfd_create(const char *name, unsigned int flags)"),
  lseek: lib.func("long lseek(int fd, long offset, int whence)"),
  sendfile: lib.func("long sendfile(int to, int from, void *position, size_t bytes)"),
  fallocate: lib.func("int fallocate(int fd, int mode, long offset, long length)"),
  prlimit: lib.func("int prlimit(int pid, int resource, const void *limit, void *old)"),
  flock: lib.func("int flock(int fd, int operation)"),
} as const;

/** Returns `result` unless it is -1; then throws what errno says about `operation` on `object`. */
export function check(result: number, operation: string, object: string, hint?: string): number {
  if (result !== -1) return result;
  const errno = koffi.errno();
  throw systemError(errno, { operation, object, ...(hint === undefined ? {} : { hint }) });
}
