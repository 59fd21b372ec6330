import { execFile } from "node:child_process";
import { globSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Interface } from "../../proto/gen/tapir/agent/v1/agent.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { watchUevents } from "../../sys/uevent.ts";
import { log } from "../log.ts";

const PCI_DEVICES = "/sys/bus/pci/devices";
const MODPROBE = "/usr/sbin/modprobe";
const PCI_ADDRESS = /^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;

/** With the MACs that NICs came with which are known by their port only; those are waited for. */
export async function locate(
  wanted: readonly Interface[],
  deadline: Deadline,
): Promise<readonly Interface[]> {
  if (wanted.every(({ port }) => port === undefined)) return wanted;
  const located: Interface[] = [];
  for (const one of wanted) {
    const { port } = one;
    located.push(port === undefined ? one : { ...one, hardwareMac: await macBehind(port, deadline) });
  }
  return located;
}

/** The MAC of the NIC behind a port, once it has a driver, which is loaded: there is no udev. */
async function macBehind(port: string, deadline: Deadline): Promise<string> {
  let changed = Promise.withResolvers<void>();
  using _watch = watchUevents(() => changed.resolve());
  const asked = new Set<string>();
  for (;;) {
    const mac = readMac(port);
    if (mac !== undefined) return mac;
    const device = driverless(port);
    if (device !== undefined && !asked.has(device.alias)) {
      asked.add(device.alias);
      await deadline.race(promisify(execFile)(MODPROBE, [device.alias])).catch((error: unknown) => {
        if (deadline.signal.aborted) throw error;
        log("no driver for a device", device);
      });
      continue;
    }
    await deadline.race(changed.promise);
    changed = Promise.withResolvers();
  }
}

function readMac(port: string): string | undefined {
  const [path] = globSync(`${PCI_DEVICES}/${port}/*/{,virtio*/}net/*/address`);
  return path === undefined ? undefined : readText(path);
}

function driverless(port: string): { address: string; alias: string } | undefined {
  const folder = join(PCI_DEVICES, port);
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
