import type { Deadline } from "../../sys/deadline.ts";
import { TapirError, wrapError } from "../../sys/error.ts";
import { failpoint } from "../../sys/failpoint.ts";
import { Code } from "../../sys/status.ts";
import type { QmpClient } from "../qmp/client.ts";
import { closeNamed, type Plugging } from "./plugging.ts";
import type { Ports } from "./ports.ts";
import { createTurns } from "./turns.ts";

/** Devices of one kind that come and go while the guest runs. */
export interface Hotplug<Device> {
  /**
   * Plugs a device into a free root port; the guest is told by interrupt. The caller keeps its descriptors and may close them.
   * Errors: RESOURCE_EXHAUSTED (no port), ALREADY_EXISTS, QEMU's refusal: nothing of the device stays. After
   * DEADLINE_EXCEEDED it may still come and holds its port: `detach` it.
   */
  attach(device: Device, deadline: Deadline): Promise<void>;
  /**
   * Takes a device out and frees its port; resolves when the guest has let go and QEMU's descriptors are closed.
   * A device that is not there is no error. After any error it keeps its port and `detach` may be tried again.
   */
  detach(id: string, deadline: Deadline): Promise<void>;
}

/** What is special about one kind of device. */
export interface DeviceKind<Device> {
  /** For errors: "NIC". */
  readonly name: string;
  /** What is wrong with a device; QEMU is not asked then. */
  faultOf(device: Device): string | undefined;
  plug(qmp: QmpClient, device: Device, port: string, deadline: Deadline): Promise<Plugging>;
  /** What of it is gone already is no error. */
  unplug(qmp: QmpClient, id: string, deadline: Deadline): Promise<void>;
}

export interface HotplugContext {
  readonly vm: string;
  readonly qmp: QmpClient;
  /** Shared by all kinds of the VM. */
  readonly ports: Ports;
}

export function createHotplug<Device extends { readonly id: string }>(
  { vm, qmp, ports }: HotplugContext,
  kind: DeviceKind<Device>,
): Hotplug<Device> {
  /** Devices whose plugging QEMU did not answer, with the descriptors that may have reached it. */
  const unknown = new Map<string, readonly string[]>();
  const inTurn = createTurns();
  return {
    attach: (device, deadline) =>
      inTurn(device.id, async () => {
        const object = `${kind.name} ${device.id} of VM ${vm}`;
        const fault = wrongId(device.id) ?? kind.faultOf(device);
        if (fault !== undefined) {
          throw new TapirError({ code: Code.INVALID_ARGUMENT, operation: "plug", object, cause: fault });
        }
        await failpoint("hypervisor.plug");
        const port = ports.reserve(device.id);
        const plugging = await kind.plug(qmp, device, port, deadline);
        if (plugging.state === "plugged") return;
        if (plugging.state === "unknown") unknown.set(device.id, plugging.fdNames);
        else ports.release(device.id);
        throw wrapError(plugging.failure, { operation: "plug", object });
      }),
    detach: (id, deadline) =>
      inTurn(id, async () => {
        if (!ports.has(id)) return;
        try {
          await failpoint("hypervisor.unplug");
          await kind.unplug(qmp, id, deadline);
          await closeNamed(qmp, unknown.get(id) ?? [], deadline);
        } catch (error) {
          throw wrapError(error, { operation: "unplug", object: `${kind.name} ${id} of VM ${vm}` });
        }
        unknown.delete(id);
        ports.release(id);
      }),
  };
}

function wrongId(id: string): string | undefined {
  return /^[A-Za-z][A-Za-z0-9-]*$/.test(id)
    ? undefined
    : "its id has other characters than letters, digits and -";
}
