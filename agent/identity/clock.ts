import { check, libc } from "../../sys/libc.ts";

const CLOCK_REALTIME = 0;
const SECOND = 1_000_000_000n;
const MILLISECOND = 1_000_000n;
const CLOSE = 3n * MILLISECOND;
const ATTEMPTS = 10;

/**
 * Sets the wall clock (clock_settime(2)) so that it is `ahead` nanoseconds before the monotonic one (hrtime). Between reading one
 * and setting the other time passes, much of it where an emulator meets this code for the first time: it is looked at, and set again.
 */
export function setClock(ahead: bigint): void {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    setWallClock(process.hrtime.bigint() + ahead);
    const off = BigInt(Date.now()) * MILLISECOND - (process.hrtime.bigint() + ahead);
    if (off > -CLOSE && off < CLOSE) return;
  }
}

function setWallClock(unixNanoseconds: bigint): void {
  const timespec = Buffer.alloc(16);
  timespec.writeBigInt64LE(unixNanoseconds / SECOND, 0);
  timespec.writeBigInt64LE(unixNanoseconds % SECOND, 8);
  check(libc.clock_settime(CLOCK_REALTIME, timespec), "set", "the guest's clock");
}
