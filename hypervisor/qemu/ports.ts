import { portOf, releasePort, reservePort, type Topology } from "./topology.ts";

/** The root ports of a running VM: whatever is plugged, each port has one owner. */
export interface Ports {
  /** Gives `device` the first free port. Errors: RESOURCE_EXHAUSTED, ALREADY_EXISTS. */
  reserve(device: string): string;
  /** Frees the port of `device`; one that has none changes nothing. */
  release(device: string): void;
  has(device: string): boolean;
  /** Of the port of `device`, counted from 0. */
  numberOf(device: string): number | undefined;
}

/** `initial` says which ports the devices of the command line hold. */
export function createPorts(initial: Topology): Ports {
  let topology = initial;
  return {
    reserve(device) {
      const reserved = reservePort(topology, device);
      topology = reserved.topology;
      return reserved.port;
    },
    release(device) {
      topology = releasePort(topology, device);
    },
    has: (device) => portOf(topology, device) !== undefined,
    numberOf(device) {
      const at = topology.ports.findIndex((port) => port.device === device);
      return at === -1 ? undefined : at;
    },
  };
}
