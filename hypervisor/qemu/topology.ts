import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";

/** Which root port holds which device. Pure: every change gives a new record. */
export interface Topology {
  readonly ports: readonly Port[];
}

export interface Port {
  /** QEMU id of the pcie-root-port, which is also the name of the bus behind it. */
  readonly name: string;
  /** QEMU id of the device in its only slot. */
  readonly device: string | undefined;
}

/** Slots 5 to 30 of the root bus; 31 is the chipset's own. */
export const MAX_ROOT_PORTS = 26;

export function createTopology(count: number): Topology {
  if (!Number.isInteger(count) || count < 0 || count > MAX_ROOT_PORTS) {
    throw new TapirError({
      code: Code.INVALID_ARGUMENT,
      operation: "lay out",
      object: `${count} PCIe root ports`,
      cause: `a machine has room for ${MAX_ROOT_PORTS}, one for each device`,
      hint: "use fewer NICs",
    });
  }
  return { ports: Array.from({ length: count }, (_, index) => ({ name: `rp${index}`, device: undefined })) };
}

/** Puts `device` on the first free port. Errors: RESOURCE_EXHAUSTED, ALREADY_EXISTS. */
export function reservePort(topology: Topology, device: string): { topology: Topology; port: string } {
  if (portOf(topology, device) !== undefined)
    throw refusal(Code.ALREADY_EXISTS, device, "it has one already");
  const free = topology.ports.find((port) => port.device === undefined);
  if (free === undefined) {
    const cause = `all ${topology.ports.length} are in use`;
    throw refusal(
      Code.RESOURCE_EXHAUSTED,
      device,
      cause,
      "raise hypervisor.qemu.pcie_root_ports for new pods",
    );
  }
  return { topology: withDevice(topology, free.name, device), port: free.name };
}

/** Frees the port of `device`; one that has none changes nothing. */
export function releasePort(topology: Topology, device: string): Topology {
  const port = portOf(topology, device);
  return port === undefined ? topology : withDevice(topology, port, undefined);
}

export function portOf(topology: Topology, device: string): string | undefined {
  return topology.ports.find((port) => port.device === device)?.name;
}

function withDevice(topology: Topology, name: string, device: string | undefined): Topology {
  return { ports: topology.ports.map((port) => (port.name === name ? { name, device } : port)) };
}

function refusal(code: Code, device: string, cause: string, hint?: string): TapirError {
  const base = { code, operation: "reserve", object: `PCIe root port for ${device}`, cause };
  return new TapirError(hint === undefined ? base : { ...base, hint });
}
