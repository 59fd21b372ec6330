import { readFileSync, writeFileSync } from "node:fs";
import type { PrepareTemplateRequest, PrepareTemplateResponse } from "../proto/gen/tapir/agent/v1/agent.ts";
import { reasonOf } from "../sys/error.ts";
import { wipeMemory } from "../sys/wipe-memory.ts";
import { collectAllGarbage } from "./garbage.ts";
import { NOBODY, writeFiles } from "./identity/files.ts";
import { setHostname } from "./identity/hostname.ts";
import { log } from "./log.ts";

/** Left alone, so that nobody is killed for want of memory meanwhile: more than the kernel keeps for itself. */
const RESERVE_BYTES = 5 << 20;
const LOWMEM_RESERVE = "/proc/sys/vm/lowmem_reserve_ratio";

/**
 * What makes a saved guest small: garbage goes, caches go, and free memory is filled with zeros, which the host need not
 * keep. The pages that were used last are the first that the kernel gives out again, so a limit still reaches them.
 */
export function prepareTemplate(request: PrepareTemplateRequest): PrepareTemplateResponse {
  if (process.pid !== 1) return { wipedBytes: 0n };
  setHostname(NOBODY.hostname);
  writeFiles(NOBODY);
  if (request.collect) {
    collectAllGarbage();
    attempt("/proc/sys/vm/drop_caches", "3");
    attempt("/proc/sys/vm/compact_memory", "1");
  }
  const bytes = Math.min(Number(request.wipeBytes), freeBytes() - RESERVE_BYTES);
  if (bytes <= 0) return { wipedBytes: 0n };
  withoutReserves(() => wipeMemory(bytes));
  return { wipedBytes: BigInt(bytes) };
}

/**
 * The kernel keeps the first 16 MiB from ordinary programs; there lies what the boot loader left of the kernel's own
 * compressed image, as large as that.
 */
function withoutReserves(work: () => void): void {
  const usual = readFileSync(LOWMEM_RESERVE, "latin1");
  attempt(LOWMEM_RESERVE, usual.replaceAll(/\d+/g, "1000000"));
  try {
    work();
  } finally {
    attempt(LOWMEM_RESERVE, usual);
  }
}

function freeBytes(): number {
  const free = /^MemFree:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "latin1"))?.[1];
  return Number(free ?? 0) * 1024;
}

function attempt(path: string, value: string): void {
  try {
    writeFileSync(path, value);
  } catch (error) {
    log("template step failed", { step: path, error: reasonOf(error) });
  }
}
