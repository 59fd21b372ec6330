import { readFileSync } from "node:fs";
import type { Deadline } from "../../sys/deadline.ts";
import type { Crictl, PodConfig } from "./crictl.ts";
import { PROJECT } from "./project.ts";

/** `configs/crictl/pod.json` with a name of its own and a cgroup that names the node. */
export function podConfig(mark: string, name: string, change: Partial<PodConfig> = {}): PodConfig {
  const base = JSON.parse(readFileSync(`${PROJECT}/configs/crictl/pod.json`, "utf8")) as PodConfig;
  return {
    ...base,
    metadata: { ...base.metadata, name, uid: name },
    hostname: name,
    ...change,
    // What is left of it can then be told from a stranger's.
    linux: { ...base.linux, ...change.linux, cgroup_parent: `/${mark}` },
  };
}

/** Stops and removes every pod. */
export async function removePods(client: Crictl, deadline: Deadline): Promise<void> {
  for (const id of await client.pods(deadline)) {
    await client.stopp(id, deadline);
    await client.rmp(id, deadline);
  }
}
