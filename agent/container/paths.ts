/** Where the agent keeps what belongs to the pod; all of it in memory. */
const HOME = "/run/tapir";
export const CRUN_ROOT = `${HOME}/crun`;
export const STORAGES = `${HOME}/storage`;
export const SHARED_MEMORY = `${HOME}/shm`;
/** Short-lived files; short names, because a socket's path is. */
export const TEMPORARY = `${HOME}/tmp`;

export function containerFolder(id: string): string {
  return `${HOME}/containers/${id}`;
}

/** Below the root of the cgroup tree; its files are in CGROUPS + this. */
export const POD_CGROUP = "/tapir";
export const CGROUPS = "/sys/fs/cgroup";

export function containerCgroup(id: string): string {
  return `${POD_CGROUP}/${id}`;
}
