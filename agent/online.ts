import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import type {
  OnlineResourcesRequest,
  OnlineResourcesResponse,
} from "../proto/gen/tapir/agent/v1/container.ts";
import type { Deadline } from "../sys/deadline.ts";
import { errnoOf } from "../sys/error.ts";
import { whenPresent } from "./storage/disk.ts";

const CPUS = "/sys/devices/system/cpu";
const MEMORY = "/sys/devices/system/memory";

/** Takes hot-plugged CPUs and memory blocks into use (Documentation/admin-guide/mm/memory-hotplug.rst). */
export async function onlineResources(
  { vcpus, memoryBytes }: OnlineResourcesRequest,
  deadline: Deadline,
): Promise<OnlineResourcesResponse> {
  // Each block that comes is an event of its own.
  return whenPresent(() => {
    const now = { vcpus: onlineCpus(), memoryBytes: onlineMemory() };
    return now.vcpus >= vcpus && now.memoryBytes >= memoryBytes ? now : undefined;
  }, deadline);
}

function onlineCpus(): number {
  for (const name of readdirSync(CPUS).filter((entry) => /^cpu\d+$/.test(entry)))
    setUnless(`${CPUS}/${name}/online`, "0", "1");
  return countList(readFileSync(`${CPUS}/online`, "latin1"));
}

function onlineMemory(): bigint {
  const blockBytes = BigInt(`0x${readFileSync(`${MEMORY}/block_size_bytes`, "latin1").trim()}`);
  const blocks = readdirSync(MEMORY).filter((entry) => /^memory\d+$/.test(entry));
  for (const name of blocks) setUnless(`${MEMORY}/${name}/state`, "offline", "online");
  const online = blocks.filter((name) => read(`${MEMORY}/${name}/state`) === "online");
  return BigInt(online.length) * blockBytes;
}

/** The first CPU has no such file, a block may go while it is looked at, and one that is busy is tried again later. */
function setUnless(path: string, off: string, on: string): void {
  if (read(path) !== off) return;
  try {
    writeFileSync(path, on);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== "EBUSY" && errno !== "ENOENT" && errno !== "ENODEV") throw error;
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1").trim();
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENODEV") return undefined;
    throw error;
  }
}

/** "0-2,4" are 4. */
export function countList(text: string): number {
  return text
    .trim()
    .split(",")
    .filter(Boolean)
    .map((part) => part.split("-").map(Number))
    .reduce((sum, [from = 0, to = from]) => sum + to - from + 1, 0);
}
