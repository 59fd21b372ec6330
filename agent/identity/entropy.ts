import { closeSync, openSync, readSync } from "node:fs";
import { check, libc } from "../../sys/libc.ts";

// linux/random.h
const RNDADDENTROPY = 0x4008_5203;
const RNDRESEEDCRNG = 0x5207;
const SOURCE = "/dev/urandom";

/**
 * Credits `bytes` to the kernel's pool and has it reseed at once. Every clone of a template has the same pool
 * until then, and so has everything that drew its seed from it before: Node's own generator (OpenSSL's) too.
 */
export function addEntropy(bytes: Uint8Array): void {
  const request = Buffer.alloc(8 + bytes.length);
  request.writeInt32LE(bytes.length * 8, 0);
  request.writeInt32LE(bytes.length, 4);
  request.set(bytes, 8);
  const fd = openSync(SOURCE, "r+");
  try {
    check(libc.ioctl(fd, RNDADDENTROPY, request), "add entropy to", SOURCE);
    check(libc.ioctl(fd, RNDRESEEDCRNG, null), "reseed", SOURCE);
  } finally {
    closeSync(fd);
  }
}

/** `length` bytes from the kernel itself, never from Node's generator, which clones share. */
export function freshRandom(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const fd = openSync(SOURCE, "r");
  try {
    readSync(fd, bytes);
  } finally {
    closeSync(fd);
  }
  return bytes;
}
