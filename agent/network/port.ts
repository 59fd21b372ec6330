import { execFile } from "node:child_process";
import { globSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Interface } from "../../proto/gen/tapir/agent/v1/agent.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { watchUevents } from "../../sys/uevent.ts";
import { log } from "../log.ts";

/** Where devices are seen and drivers come from; injected in tests. */
export interface DeviceTree {
  /** The folder of PCI devices in sysfs. */
  readonly devices: string;
  /** Loads the driver of a device that calls itself so; rejects when there is none. */
  loadDriver(alias: string): Promise<unknown>;
  /** Calls `changed` whenever a device comes, goes or changes, until it is disposed. */
  watch(changed: () => void): Disposable;
}

const guestTree: DeviceTree = {
  devices: "/sys/bus/pci/devices",
  loadDriver: (alias) => promisify(execFile)("/usr/sbin/modprobe", [alias]),
  watch: watchUevents,
};
const PCI_ADDRESS = /^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;

/** With the MACs that NICs came with which are known by their port only; those are waited for. */
export async function locate(
  wanted: readonly Interface[],
  deadline: Deadline,
  tree: DeviceTree = guestTree,
): Promise<readonly Interface[]> {
  if (wanted.every(({ port }) => port === undefined)) return wanted;
  const located: Interface[] = [];
  for (const one of wanted) {
    const { port } = one;
    located.push(port === undefined ? one : { ...one, hardwareMac: await macBehind(tree, port, deadline) });
  }
  return located;
}

/** The MAC of the NIC behind a port, once it has a driver, which is loaded: there is no udev. */
async function macBehind(tree: DeviceTree, port: string, deadline: Deadline): Promise<string> {
  const folder = join(tree.devices, port);
  let changed = Promise.withResolvers<void>();
  using _watch = tree.watch(() => changed.resolve());
  const asked = new Set<string>();
  for (;;) {
    const mac = readMac(folder);
    if (mac !== undefined) return mac;
    const device = driverless(folder);
    if (device !== undefined && !asked.has(device.alias)) {
      asked.add(device.alias);
      await deadline.race(tree.loadDriver(device.alias)).catch((error: unknown) => {
        if (deadline.signal.aborted) throw error;
        log("no driver for a device", device);
      });
      continue;
    }
    await deadline.race(changed.promise);
    changed = Promise.withResolvers();
  }
}

function readMac(folder: string): string | undefined {
  const [path] = globSync(`${folder}/*/{,virtio*/}net/*/address`);
  return path === undefined ? undefined : readText(path);
}

function driverless(folder: string): { address: string; alias: string } | undefined {
  for (const address of children(folder).filter((name) => PCI_ADDRESS.test(name))) {
    const alias = readText(join(folder, address, "modalias"));
    if (alias !== undefined && !children(join(folder, address)).includes("driver")) return { address, alias };
  }
  return undefined;
}

/** Whatever is read here may be gone by then. */
function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1").trim();
  } catch {
    return undefined;
  }
}

function children(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
