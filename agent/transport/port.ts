import { readdirSync, readFileSync } from "node:fs";
import type { Deadline } from "../../sys/deadline.ts";
import { type Device, openDevice } from "../../sys/device.ts";
import { errnoOf } from "../../sys/error.ts";
import { watchUevents } from "../../sys/uevent.ts";

/** The name QEMU gives the agent's virtio-serial port. */
const PORT_NAME = "org.tapir.agent.0";
const PORTS = "/sys/class/virtio-ports";

/** Opens the port once it is there: ports are numbered by order of probing, so only the name counts. */
export async function openPort(deadline: Deadline): Promise<Device> {
  const changed = { resolve: (): void => undefined };
  // Watch first, look then: a port that appears in between is seen either way.
  using _watch = watchUevents(() => changed.resolve());
  for (;;) {
    const change = new Promise<void>((resolve) => {
      changed.resolve = resolve;
    });
    const device = findPort(PORT_NAME);
    if (device !== undefined) return openDevice(device);
    await deadline.race(change);
  }
}

/** Path of the device node whose port is called `name`; the name arrives after the node. */
function findPort(name: string, ports: string = PORTS): string | undefined {
  for (const port of list(ports)) {
    try {
      if (readFileSync(`${ports}/${port}/name`, "utf8").trim() === name) return `/dev/${port}`;
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
    }
  }
  return undefined;
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
