import { readFileSync } from "node:fs";
import { availableParallelism, freemem, hostname, machine, release, totalmem } from "node:os";
import type { GetGuestDetailsResponse } from "../proto/gen/tapir/agent/v1/agent.ts";
import { milestones } from "./milestones.ts";
import { monotonicSeconds } from "./monotonic.ts";

/**
 * What the guest says of itself. The kernel makes its boot id when it is first read: a template must not be
 * asked for its details before it is saved, or its clones share one.
 */
export function guestDetails(): GetGuestDetailsResponse {
  return {
    kernelRelease: release(),
    architecture: machine(),
    hostname: hostname(),
    bootId: firstLine("/proc/sys/kernel/random/boot_id"),
    machineId: firstLine("/etc/machine-id"),
    vcpus: availableParallelism(),
    memoryTotalBytes: BigInt(totalmem()),
    // libuv's "free" is the kernel's MemAvailable.
    memoryAvailableBytes: BigInt(freemem()),
    unixTimeNanoseconds: BigInt(Date.now()) * 1_000_000n,
    uptimeSeconds: monotonicSeconds(),
    milestones: milestones(),
    randomUuid: firstLine("/proc/sys/kernel/random/uuid"),
  };
}

function firstLine(path: string): string {
  try {
    return readFileSync(path, "latin1").trim();
  } catch {
    // A guest without the file has no such id.
    return "";
  }
}
