/** Options of mount(8) that are flags of mount(2), set or cleared. */
const FLAGS: Readonly<Record<string, readonly [set: number, clear: number]>> = {
  ro: [1, 0],
  rw: [0, 1],
  nosuid: [2, 0],
  suid: [0, 2],
  nodev: [4, 0],
  dev: [0, 4],
  noexec: [8, 0],
  exec: [0, 8],
  sync: [16, 0],
  async: [0, 16],
  dirsync: [128, 0],
  noatime: [1 << 10, 0],
  atime: [0, 1 << 10],
  nodiratime: [1 << 11, 0],
  relatime: [1 << 21, 0],
  norelatime: [0, 1 << 21],
  strictatime: [1 << 24, 0],
  lazytime: [1 << 25, 0],
  defaults: [0, 0],
  bind: [0, 0],
  rbind: [0, 0],
};
/** Propagation is set where a container mounts it; labels are of the host's security module. */
const LEFT_OUT = /^(r?private|r?shared|r?slave|r?unbindable|(root|fs|def)?context=.*)$/;

/** Flags for mount(2) and what is left for the file system itself. */
export function mountOptions(options: readonly string[]): { flags: number; data: string } {
  let flags = 0;
  const data: string[] = [];
  for (const option of options) {
    const flag = FLAGS[option];
    if (flag !== undefined) flags = (flags | flag[0]) & ~flag[1];
    else if (!LEFT_OUT.test(option)) data.push(option);
  }
  return { flags, data: data.join(",") };
}
