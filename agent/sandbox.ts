import type { CreateSandboxRequest, CreateSandboxResponse } from "../proto/gen/tapir/agent/v1/agent.ts";
import type { Deadline } from "../sys/deadline.ts";
import { TapirError } from "../sys/error.ts";
import { listLinks } from "../sys/netlink/link.ts";
import { Code } from "../sys/status.ts";
import { createCompiler } from "./compiler.ts";
import { collectYoungGarbage } from "./garbage.ts";
import { milestones } from "./milestones.ts";
import { applyNetwork } from "./network/apply.ts";
import { clearInterfaces } from "./network/interface.ts";
import { applyNeighbors } from "./network/neighbor.ts";
import type { Network } from "./network/network.ts";
import { applyRoutes } from "./network/route.ts";
import { applyRules } from "./network/rule.ts";

/** The guest as the service sees it; tests give one that is none. */
export interface Guest {
  readonly network: Network;
  /** Clock, entropy, hostname: what makes a clone this pod's guest, before it does anything else. */
  becomePod(request: CreateSandboxRequest, arrived: bigint): void;
  /** The files that say so. */
  writeFiles(request: CreateSandboxRequest): void;
  powerOff(reason: string): void;
}

/** The one pod of this guest. */
export interface Sandbox {
  create(request: CreateSandboxRequest, arrived: bigint, deadline: Deadline): Promise<CreateSandboxResponse>;
  destroy(deadline: Deadline): Promise<void>;
  /** Somebody else changes the network. */
  networkChanges(): void;
}

/** A NIC that is plugged in before its request is there at once; one that is plugged beside it takes a moment. */
const LINK_TIMEOUT_MS = 10_000;

/** The deadline of a wait for NICs; 0 stands for the usual time. */
export function linkDeadline(milliseconds: number, deadline: Deadline): Deadline {
  return deadline.within(
    milliseconds === 0 ? LINK_TIMEOUT_MS : milliseconds,
    "wait for the network interface",
  );
}

export function newSandbox(guest: Guest): Sandbox {
  let owner: string | undefined;
  // Nothing was set since all of it was taken away.
  let blank = false;
  const { network } = guest;
  const compiler = createCompiler();
  return {
    async create(request, arrived, deadline) {
      const { sandboxId } = request;
      // The same pod again is a host that did not get the answer.
      if (owner !== undefined && owner !== sandboxId) throw alreadyOwned(sandboxId, owner);
      owner = sandboxId;
      compiler.start();
      guest.becomePod(request, arrived);
      const linksBy = linkDeadline(request.linkTimeoutMilliseconds, deadline);
      const ground = blank ? "blank" : "unknown";
      blank = false;
      await applyNetwork(network, request, linksBy, deadline, ground);
      // The pod answers meanwhile.
      guest.writeFiles(request);
      return { milestones: milestones() };
    },
    async destroy(deadline) {
      compiler.cancel();
      await applyRules(network, [], deadline);
      await applyRoutes(network, [], deadline);
      await applyNeighbors(network, [], deadline);
      await clearInterfaces(network, await listLinks(network.socket, deadline), () => true, deadline);
      owner = undefined;
      blank = true;
      collectYoungGarbage();
    },
    networkChanges: () => {
      blank = false;
    },
  };
}

function alreadyOwned(wanted: string, owner: string): TapirError {
  return new TapirError({
    code: Code.ALREADY_EXISTS,
    operation: "create",
    object: `sandbox ${wanted}`,
    cause: `this guest belongs to sandbox ${owner}`,
  });
}
