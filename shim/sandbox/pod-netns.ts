import { TapirError } from "../../sys/error.ts";
import { isOwnNetns } from "../../sys/netns.ts";
import { Code } from "../../sys/status.ts";
import type { Configuration } from "../config/schema.ts";
import type { SandboxSpec } from "./bundle.ts";

/**
 * Path of the network namespace whose network is the pod's; undefined: it has none. The node's own is nobody's, unless the
 * operator wants pods that are there and have no NIC (`disable_new_netns`).
 */
export function podNetns(
  { id, hostNetwork, netns }: Pick<SandboxSpec, "id" | "hostNetwork" | "netns">,
  { network }: Pick<Configuration, "network">,
): string | undefined {
  if (network.disableNewNetns) {
    if (network.internetworkingModel !== "none") throw contradiction(network.internetworkingModel);
    return netns === undefined || isOwnNetns(netns) ? undefined : netns;
  }
  if (!hostNetwork) return netns;
  throw new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "create",
    object: `sandbox ${id}`,
    cause: "its OCI spec has no network namespace, so it would be the host's",
    hint:
      'a VM cannot share the host\'s network: leave out hostNetwork, or use the runtime class "runc"; ' +
      "disable_new_netns lets such pods run without a NIC",
  });
}

/**
 * Path of the namespace into which the network of a container on its own comes later: that of its task, which is QEMU's and nobody
 * else's. Whoever runs it (`ctr run --cni`, a hook of nerdctl's or Docker's) knows it by the pid. Undefined: none comes.
 */
export function taskNetns(
  { kind, netns, hostNetwork }: Pick<SandboxSpec, "kind" | "netns" | "hostNetwork">,
  { network }: Pick<Configuration, "network">,
  pid: number,
): string | undefined {
  if (kind !== "single" || netns !== undefined || hostNetwork || network.disableNewNetns) return undefined;
  return `/proc/${pid}/ns/net`;
}

function contradiction(model: string): TapirError {
  return new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "use",
    object: "disable_new_netns",
    cause: `internetworking_model "${model}" would connect the VM to a network namespace`,
    hint: 'set internetworking_model = "none" as well: such a pod has no NIC',
  });
}
