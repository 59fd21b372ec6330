import koffi from "koffi";
import { systemError } from "./error.ts";
import { libc } from "./libc.ts";

// sys/mman.h
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_PRIVATE = 0x02;
const MAP_ANONYMOUS = 0x20;
const MAP_POPULATE = 0x8000;

/** Takes `bytes` of memory from the kernel, which clears what it gives, and gives them back (mmap(2)). */
export function wipeMemory(bytes: number): void {
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
  const address = libc.mmap(null, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (koffi.address(address) === MAP_FAILED) {
    throw systemError(koffi.errno(), { operation: "wipe", object: `${bytes} bytes of free memory` });
  }
  libc.munmap(address, bytes);
}

const MAP_FAILED = 2n ** 64n - 1n;
