import { readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import type {
  OnlineResourcesRequest,
  OnlineResourcesResponse,
} from "../proto/gen/tapir/agent/v1/container.ts";
import type { Deadline } from "../sys/deadline.ts";
import { errnoOf } from "../sys/error.ts";
import { watchUevents } from "../sys/uevent.ts";

const CPUS = "/sys/devices/system/cpu";
const MEMORY = "/sys/devices/system/memory";

/**
 * Takes hot-plugged CPUs into use, or out of use, and waits for memory (Documentation/core-api/cpu_hotplug.rst,
 * admin-guide/mm/memory-hotplug.rst). The kernel takes its time for each CPU, off this thread.
 */
export async function onlineResources(
  request: OnlineResourcesRequest,
  deadline: Deadline,
): Promise<OnlineResourcesResponse> {
  let events = 0;
  let wake = (): void => undefined;
  // Each CPU and each block that comes is an event of its own.
  using _watch = watchUevents(() => {
    events += 1;
    wake();
  });
  for (;;) {
    const seen = events;
    const vcpus = await setCpus(request.atMostVcpus);
    const memoryBytes = onlineMemory();
    if (vcpus >= request.vcpus && memoryBytes >= request.memoryBytes) return { vcpus, memoryBytes };
    const { promise, resolve } = Promise.withResolvers<void>();
    wake = resolve;
    if (events === seen) await deadline.race(promise);
  }
}

/** The first `atMost` CPUs are online, the others not; 0: all are. Returns how many. */
async function setCpus(atMost: number): Promise<number> {
  const numbers = readdirSync(CPUS).flatMap((entry) => /^cpu(\d+)$/.exec(entry)?.[1] ?? []);
  const sorted = numbers.map(Number).toSorted((a, b) => a - b);
  for (const [index, number] of sorted.entries()) {
    const [off, on] = atMost === 0 || index < atMost ? ["0", "1"] : ["1", "0"];
    await setUnless(`${CPUS}/cpu${number}/online`, off, on);
  }
  return countList(readFileSync(`${CPUS}/online`, "latin1"));
}

/** The kernel takes blocks into use by itself (memhp_default_state); somebody else who does would be in its way. */
function onlineMemory(): bigint {
  const blockBytes = BigInt(`0x${readFileSync(`${MEMORY}/block_size_bytes`, "latin1").trim()}`);
  const blocks = readdirSync(MEMORY).filter((entry) => /^memory\d+$/.test(entry));
  const online = blocks.filter((name) => read(`${MEMORY}/${name}/state`) === "online");
  return BigInt(online.length) * blockBytes;
}

/** The first CPU has no such file, one may go while it is looked at, and one that is busy is tried again later. */
async function setUnless(path: string, off: string, on: string): Promise<void> {
  if (read(path) !== off) return;
  try {
    await writeFile(path, on);
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
