import type { OciNamespace } from "../sandbox/oci.ts";
import { notNow } from "./failures.ts";
import type { ProcessStatus } from "./task.ts";

/** Which PID namespaces the containers of a pod have. */
export interface PodPids {
  /**
   * The container whose PID namespace one that comes now is to have; "": its own, the pod's shared one, or the guest's, as its
   * namespaces say. Throws FAILED_PRECONDITION when nobody can tell.
   */
  join(id: string, namespaces: readonly OciNamespace[]): string;
}

/** Of those with an "own" one others may join. */
type Sharing = "own" | "pod" | "joined";

/**
 * containerd names a PID namespace by the pid of a process that is in it, and on the host all processes of the VM are one: a path
 * may mean the pod's shared namespace, or that of one container (TARGET, `kubectl debug --target`). The other containers tell:
 * in a pod that shares, none has one of its own. `statusOf` is where a container's init is; undefined: it is gone.
 */
export function openPodPids(statusOf: (id: string) => ProcessStatus | undefined): PodPids {
  const sharing = new Map<string, Sharing>();
  const targetOf = (id: string): string => {
    const alive = [...sharing.keys()].filter((one) => !OVER.includes(statusOf(one)));
    if (alive.some((one) => sharing.get(one) === "pod")) return "";
    const candidates = alive.filter((one) => sharing.get(one) === "own");
    const [first = "", ...others] = candidates;
    if (others.length === 0) return first;
    const cause = `it is to join the PID namespace of one of ${candidates.join(", ")}, and which one is not told to a runtime`;
    const hint = "share the pod's processes (shareProcessNamespace), or leave out the target";
    throw notNow("create", `container ${id}`, cause, hint);
  };
  return {
    join(id, namespaces) {
      for (const one of [...sharing.keys()]) if (statusOf(one) === undefined) sharing.delete(one);
      const wanted = namespaces.find(({ type }) => type === "pid");
      if (wanted === undefined) return "";
      const target = wanted.path === "" ? "" : targetOf(id);
      sharing.set(id, wanted.path === "" ? "own" : target === "" ? "pod" : "joined");
      return target;
    },
  };
}

/** Nothing runs that could be joined. */
const OVER: readonly (ProcessStatus | undefined)[] = [undefined, "creating", "created", "stopped"];
