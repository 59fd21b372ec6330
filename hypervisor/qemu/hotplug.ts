import type { Deadline } from "../../sys/deadline.ts";
import { TapirError, wrapError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { VmNic } from "../hypervisor.ts";
import type { QmpClient } from "../qmp/client.ts";
import { closeNamed, plugNic } from "./plug-nic.ts";
import { portOf, releasePort, reservePort, type Topology } from "./topology.ts";
import { createTurns } from "./turns.ts";
import { unplugNic } from "./unplug-nic.ts";

/** NICs that come and go while the guest runs. */
export interface NicHotplug {
  /**
   * Plugs a NIC into a free root port; the guest is told by interrupt. The caller keeps its descriptors and may close them.
   * Errors: RESOURCE_EXHAUSTED (no port), ALREADY_EXISTS, QEMU's refusal: nothing of the NIC stays. After DEADLINE_EXCEEDED it may
   * still come and holds its port: `detach` it.
   */
  attach(nic: VmNic, deadline: Deadline): Promise<void>;
  /**
   * Takes a NIC out and frees its port; resolves when the guest has let go and QEMU's descriptors are closed.
   * A NIC that is not there is no error. After any error the NIC keeps its port and `detach` may be tried again.
   */
  detach(id: string, deadline: Deadline): Promise<void>;
}

/** `initial` says which ports the NICs of the command line hold. */
export function createNicHotplug(vm: string, qmp: QmpClient, initial: Topology): NicHotplug {
  let topology = initial;
  /** NICs whose plugging QEMU did not answer, with the descriptors that may have reached it. */
  const unknown = new Map<string, readonly string[]>();
  const inTurn = createTurns();
  return {
    attach: (nic, deadline) =>
      inTurn(nic.id, async () => {
        const object = `NIC ${nic.id} of VM ${vm}`;
        checkNic(nic, object);
        const reserved = reservePort(topology, nic.id);
        topology = reserved.topology;
        const plugging = await plugNic(qmp, nic, reserved.port, deadline);
        if (plugging.state === "plugged") return;
        if (plugging.state === "refused") topology = releasePort(topology, nic.id);
        else unknown.set(nic.id, plugging.fdNames);
        throw wrapError(plugging.failure, { operation: "plug", object });
      }),
    detach: (id, deadline) =>
      inTurn(id, async () => {
        if (portOf(topology, id) === undefined) return;
        try {
          await unplugNic(qmp, id, deadline);
          await closeNamed(qmp, unknown.get(id) ?? [], deadline);
        } catch (error) {
          throw wrapError(error, { operation: "unplug", object: `NIC ${id} of VM ${vm}` });
        }
        unknown.delete(id);
        topology = releasePort(topology, id);
      }),
  };
}

function checkNic({ id, tapFds, vhostFds }: VmNic, object: string): void {
  const fault = !/^[A-Za-z][A-Za-z0-9-]*$/.test(id)
    ? "its id has other characters than letters, digits and -"
    : tapFds.length === 0
      ? "it has no tap"
      : vhostFds.length > 0 && vhostFds.length !== tapFds.length
        ? "it does not have one vhost descriptor for each queue"
        : undefined;
  if (fault === undefined) return;
  throw new TapirError({ code: Code.INVALID_ARGUMENT, operation: "plug", object, cause: fault });
}
