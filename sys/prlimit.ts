import { check, libc } from "./libc.ts";

const RLIMIT_MEMLOCK = 8;

/** How much memory a process may lock, soft and hard, in bytes (prlimit(2)). */
export function setMemoryLock(pid: number, bytes: number): void {
  const limit = Buffer.alloc(16);
  limit.writeBigUInt64LE(BigInt(bytes), 0);
  limit.writeBigUInt64LE(BigInt(bytes), 8);
  check(libc.prlimit(pid, RLIMIT_MEMLOCK, limit, null), "raise", `the memory that process ${pid} may lock`);
}
