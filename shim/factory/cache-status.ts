import { type AskedCache, askCache } from "../../hypervisor/factory/cache/ask.ts";
import { cacheKey } from "../../hypervisor/factory/cache/key.ts";
import type { VmPlan } from "../../hypervisor/hypervisor.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { reasonOf } from "../../sys/error.ts";
import type { Configuration } from "../config/schema.ts";

/** The VM cache of a node, as its operator sees it. */
export interface CacheStatus {
  /** Off: pods do not ask for one, and nobody serves. Absent: nobody serves. Silent: whoever listens does not answer. */
  readonly state: "off" | "absent" | "silent" | "running";
  readonly socket: string;
  /** factory.cache_size */
  readonly target: number;
  /** Of a running server. */
  readonly server?: CacheServerStatus;
  /** Why a silent one is. */
  readonly reason?: string;
}

export interface CacheServerStatus {
  readonly pid: number;
  readonly uptimeSeconds: number;
  /** How many clones it wants to have: factory.cache_size when it started. */
  readonly target: number;
  /** Clones that a pod of the node's configuration can take at once. */
  readonly ready: number;
  /** Clones for pods of another configuration: the server began with it. */
  readonly misfits: number;
  /** How many pods took one. */
  readonly served: number;
  readonly trouble?: string | undefined;
}

const ANSWER_MS = 2000;

/** `plan`: of the pods of the node's configuration. */
export async function cacheStatus({ factory }: Configuration, plan: VmPlan): Promise<CacheStatus> {
  const { cacheSocket: socket, cacheSize: target, memory } = factory;
  try {
    const asked = await askCache(socket, deadlineIn(ANSWER_MS, `ask ${socket}`));
    if (asked === undefined) return { state: target === 0 ? "off" : "absent", socket, target };
    return { state: "running", socket, target, server: serverStatus(asked, cacheKey(plan, memory)) };
  } catch (error) {
    return { state: "silent", socket, target, reason: reasonOf(error) };
  }
}

function serverStatus({ ready, size, ...rest }: AskedCache, key: string): CacheServerStatus {
  const all = Object.values(ready).reduce((sum, count) => sum + count, 0);
  const fitting = ready[key] ?? 0;
  return { ...rest, target: size, ready: fitting, misfits: all - fitting };
}
