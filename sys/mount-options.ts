import { MS } from "./mount.ts";

const NOATIME = 1 << 10;
const NODIRATIME = 1 << 11;
const RELATIME = 1 << 21;
const STRICTATIME = 1 << 24;
const LAZYTIME = 1 << 25;
const SYNCHRONOUS = 16;
const DIRSYNC = 128;

/** Options of mount(8) that are flags of mount(2), set or cleared. */
const FLAGS: Readonly<Record<string, readonly [set: number, clear: number]>> = {
  ro: [MS.RDONLY, 0],
  rw: [0, MS.RDONLY],
  nosuid: [MS.NOSUID, 0],
  suid: [0, MS.NOSUID],
  nodev: [MS.NODEV, 0],
  dev: [0, MS.NODEV],
  noexec: [MS.NOEXEC, 0],
  exec: [0, MS.NOEXEC],
  sync: [SYNCHRONOUS, 0],
  async: [0, SYNCHRONOUS],
  dirsync: [DIRSYNC, 0],
  noatime: [NOATIME, 0],
  atime: [0, NOATIME],
  nodiratime: [NODIRATIME, 0],
  relatime: [RELATIME, 0],
  norelatime: [0, RELATIME],
  strictatime: [STRICTATIME, 0],
  lazytime: [LAZYTIME, 0],
  defaults: [0, 0],
  // A file is a disk here anyway.
  loop: [0, 0],
};

/** Flags for mount(2), and what is left for the file system itself. */
export function parseMountOptions(options: readonly string[]): { flags: number; data: string[] } {
  let flags = 0;
  const data: string[] = [];
  for (const option of options) {
    const flag = FLAGS[option];
    if (flag === undefined) data.push(option);
    else flags = (flags | flag[0]) & ~flag[1];
  }
  return { flags, data };
}
