/** Debian packages whose files go into the guest; what they depend on comes along. */
export const KERNEL_META_PACKAGE = "linux-image-cloud-amd64";
export const ROOT_PACKAGES = [
  "busybox-static",
  "catatonit",
  "crun",
  "libc6",
  "libgcc-s1",
  "libstdc++6",
] as const;

/** Folder of the agent in the guest. */
export const AGENT_FOLDER = "usr/lib/tapir/agent";

/**
 * For a start in the fewest different instructions: under emulation each costs most when it runs first. Functions stay
 * interpreted (agent/compiler.ts changes that later) and are not forgotten; garbage of a start is not worth collecting.
 */
const ENGINE = [
  ...["--no-opt", "--no-maglev", "--no-sparkplug", "--no-flush-bytecode"],
  // What a rehearsal has seen once is remembered, and not looked up again.
  "--no-lazy-feedback-allocation",
  // Garbage is collected when the guest has time (agent/garbage.ts), and a start fits into what is free then.
  ...["--no-minor-gc-task", "--min-semi-space-size=4", "--max-semi-space-size=8", "--expose-gc"],
] as const;

/** Process 1 of the guest. */
export const GUEST_INIT = ["/usr/bin/node", "--no-warnings", ...ENGINE, `/${AGENT_FOLDER}/main.mjs`] as const;

/** Programs of the root image that other programs look up by path; the shell knows the rest of busybox by itself. */
export const APPLETS = [
  "usr/bin/cat",
  "usr/bin/ip",
  "usr/bin/ls",
  "usr/bin/mount",
  "usr/bin/ping",
  "usr/bin/ps",
  "usr/bin/sh",
  "usr/bin/umount",
  "usr/sbin/modprobe",
] as const;

/** Empty folders: mount points, and places that a tmpfs will cover. */
export const FOLDERS = [
  "dev",
  "etc",
  "mnt",
  "proc",
  "root",
  "run",
  "sys",
  "tmp",
  "usr/sbin",
  "var/lib",
  "var/log",
] as const;

/** Links: the layout of a merged /usr, and what changes from sandbox to sandbox. */
export const LINKS = {
  bin: "usr/bin",
  lib: "usr/lib",
  lib64: "usr/lib64",
  sbin: "usr/sbin",
  "usr/lib64/ld-linux-x86-64.so.2": "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
  "etc/hostname": "/run/etc/hostname",
  "etc/hosts": "/run/etc/hosts",
  "etc/machine-id": "/run/etc/machine-id",
  "etc/mtab": "/proc/mounts",
  "etc/resolv.conf": "/run/etc/resolv.conf",
  "var/run": "/run",
  "var/tmp": "/tmp",
} as const;

export const ETC = {
  "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
  "etc/group": "root:x:0:\nnogroup:x:65534:\n",
  "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
} as const;
