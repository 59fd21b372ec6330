import { readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import type { Deadline } from "../../sys/deadline.ts";
import { errnoOf, wrapError } from "../../sys/error.ts";
import { parseFlat } from "./flat-file.ts";
import { CGROUPS, containerCgroup } from "./paths.ts";
import { waitForFile } from "./watch-file.ts";

/** The cgroup of one container (cgroup-v2.rst); crun makes and removes it. */
export interface Cgroup {
  /** Folder of its files. */
  readonly folder: string;
  /** Stops or continues all its processes; resolves when the kernel has done so. */
  freeze(frozen: boolean, deadline: Deadline): Promise<void>;
  /** SIGKILL to all its processes, in one step that no fork escapes. */
  kill(): void;
  /** Of all its processes, in cgroups below as well. */
  pids(): number[];
  /** Resolves when its last process is gone. */
  emptied(deadline: Deadline): Promise<void>;
  /** Takes it away with all below it; it must be empty. One that is not there is fine. */
  remove(): void;
  /** Processes that the kernel killed for lack of memory so far. */
  oomKills(): bigint;
}

export function cgroupOf(id: string): Cgroup {
  const folder = `${CGROUPS}${containerCgroup(id)}`;
  const is = (key: string, value: bigint): boolean =>
    parseFlat(readFileSync(`${folder}/cgroup.events`, "utf8")).get(key) === value;
  return {
    folder,
    async freeze(frozen, deadline) {
      try {
        writeFileSync(`${folder}/cgroup.freeze`, frozen ? "1" : "0");
        await waitForFile(`${folder}/cgroup.events`, () => is("frozen", frozen ? 1n : 0n), deadline);
      } catch (error) {
        throw wrapError(error, { operation: frozen ? "pause" : "resume", object: `container ${id}` });
      }
    },
    kill: () => {
      unlessGone(() => writeFileSync(`${folder}/cgroup.kill`, "1"));
    },
    pids: () => unlessGone(() => pidsBelow(folder)) ?? [],
    async emptied(deadline) {
      try {
        await waitForFile(`${folder}/cgroup.events`, () => is("populated", 0n), deadline);
      } catch (error) {
        if (!isGone(error)) throw error;
      }
    },
    remove: () => {
      unlessGone(() => removeBelow(folder));
    },
    oomKills: () =>
      unlessGone(() => parseFlat(readFileSync(`${folder}/memory.events`, "utf8")).get("oom_kill")) ?? 0n,
  };
}

function pidsBelow(folder: string): number[] {
  const own = readFileSync(`${folder}/cgroup.procs`, "latin1").split("\n").filter(Boolean).map(Number);
  const folders = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...own, ...folders.flatMap(({ name }) => unlessGone(() => pidsBelow(`${folder}/${name}`)) ?? [])];
}

/** Its files are the kernel's: only folders are removed. */
function removeBelow(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) removeBelow(`${folder}/${entry.name}`);
  rmdirSync(folder);
}

function unlessGone<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** ENODEV: the file is open and its cgroup removed. EOPNOTSUPP: a threaded cgroup has no processes of its own. */
function isGone(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === "ENOENT" || errno === "ENODEV" || errno === "EOPNOTSUPP";
}
