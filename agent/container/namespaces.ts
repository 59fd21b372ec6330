import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { OciNamespace } from "./oci.ts";

/**
 * The namespaces of a container inside the guest. Network, IPC and host name are the guest's own, which only this pod
 * has. Every path names something on the host and goes; a PID namespace with a path is a shared one, whose place in
 * the guest is `sharedPids`. Without an entry the container has the guest's: "host" means this guest.
 */
export function guestNamespaces(
  wanted: readonly OciNamespace[],
  sharedPids: string | undefined,
): OciNamespace[] {
  return wanted.flatMap(({ type, path }): OciNamespace[] => {
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

/** Whether the container shares a PID namespace with another one. */
export function sharesPids(wanted: readonly OciNamespace[]): boolean {
  return wanted.some(({ type, path }) => type === "pid" && isGiven(path));
}

function isGiven(path: string | undefined): boolean {
  return path !== undefined && path !== "";
}
