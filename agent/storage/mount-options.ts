import { parseMountOptions } from "../../sys/mount-options.ts";

/** Propagation is set where a container mounts it; labels are of the host's security module. */
const LEFT_OUT = /^(r?bind|r?private|r?shared|r?slave|r?unbindable|(root|fs|def)?context=.*)$/;

/** Flags for mount(2) and what is left for the file system itself. */
export function mountOptions(options: readonly string[]): { flags: number; data: string } {
  const { flags, data } = parseMountOptions(options.filter((option) => !LEFT_OUT.test(option)));
  return { flags, data: data.join(",") };
}
