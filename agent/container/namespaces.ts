import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { OciMount, OciNamespace } from "./oci.ts";

/**
 * The namespaces of a container inside the guest. Network, IPC and host name are the guest's own, which only this pod
 * has. Every path names something on the host and goes; a PID namespace with a path is a shared one, whose place in
 * the guest is `sharedPids`. Without an entry the container has the guest's: "host" means this guest. But `ownCgroups`: on a
 * host with cgroups of version 1 runtimes show a container its own ones without being told.
 */
export function guestNamespaces(
  wanted: readonly OciNamespace[],
  sharedPids: string | undefined,
  ownCgroups: boolean,
): OciNamespace[] {
  const added: OciNamespace[] =
    ownCgroups && !wanted.some(({ type }) => type === "cgroup") ? [{ type: "cgroup" }] : [];
  return [...wanted, ...added].flatMap(({ type, path }): OciNamespace[] => {
    switch (type) {
      case "network":
      case "ipc":
      case "uts":
        return [];
      case "pid":
        return isGiven(path) && sharedPids !== undefined ? [{ type, path: sharedPids }] : [{ type }];
      case "mount":
      case "cgroup":
      case "user":
      case "time":
        return [{ type }];
      default:
        throw new TapirError({
          code: Code.INVALID_ARGUMENT,
          operation: "accept",
          object: `namespace ${JSON.stringify(type.slice(0, 64))}`,
          cause: "no such kind",
        });
    }
  });
}

/** A container that may write to the cgroups is privileged, and manages those of the guest; others see their own. */
export function seesOwnCgroups(mounts: readonly OciMount[]): boolean {
  return !mounts.some(({ type = "", options = [] }) => /^cgroup2?$/.test(type) && !options.includes("ro"));
}

/** Whether the container shares a PID namespace with another one. */
export function sharesPids(wanted: readonly OciNamespace[]): boolean {
  return wanted.some(({ type, path }) => type === "pid" && isGiven(path));
}

function isGiven(path: string | undefined): boolean {
  return path !== undefined && path !== "";
}
