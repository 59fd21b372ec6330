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

function contradiction(model: string): TapirError {
  return new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "use",
    object: "disable_new_netns",
    cause: `internetworking_model "${model}" would connect the VM to a network namespace`,
    hint: 'set internetworking_model = "none" as well: such a pod has no NIC',
  });
}
