import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readMounts } from "./inventory/mountinfo.ts";

/**
 * Puts a process that somebody else started where our own children would be: into our cgroups, with our place in the queue of
 * the out-of-memory killer. A service manager that ends its starter's cgroup does not end it then. Returns what was refused.
 */
export function shareFate(pid: number): unknown[] {
  const failures: unknown[] = [];
  const attempt = (act: () => void): void => {
    try {
      act();
    } catch (error) {
      failures.push(error);
    }
  };
  attempt(() => {
    const score = readFileSync("/proc/self/oom_score_adj", "latin1");
    if (readFileSync(`/proc/${pid}/oom_score_adj`, "latin1") !== score)
      writeFileSync(`/proc/${pid}/oom_score_adj`, score);
  });
  const theirs = new Set(cgroupLines(String(pid)));
  const mounts = readMounts();
  for (const line of cgroupLines("self").filter((own) => !theirs.has(own))) {
    const directory = cgroupDirectory(line, mounts);
    if (directory !== undefined) attempt(() => writeFileSync(join(directory, "cgroup.procs"), String(pid)));
  }
  return failures;
}

function cgroupLines(process: string): string[] {
  return readFileSync(`/proc/${process}/cgroup`, "latin1").split("\n").filter(Boolean);
}

/** Where the cgroup of a line of /proc/<pid>/cgroup ("4:cpu,cpuacct:/a", "0::/a") is mounted. Pure. */
export function cgroupDirectory(
  line: string,
  mounts: readonly { readonly target: string; readonly type: string; readonly root: string }[],
): string | undefined {
  const [, controllers = "", ...rest] = line.split(":");
  const path = rest.join(":");
  const name = controllers.replace(/^name=/, "");
  const mount = mounts.find(({ target, type }) =>
    controllers === "" ? type === "cgroup2" : type === "cgroup" && target.endsWith(`/${name}`),
  );
  if (mount === undefined) return undefined;
  const { root, target } = mount;
  if (root === "/") return join(target, path);
  return path === root || path.startsWith(`${root}/`) ? join(target, path.slice(root.length)) : undefined;
}
