import { check, libc } from "../../sys/libc.ts";

const CLOCK_REALTIME = 0;
const SECOND = 1_000_000_000n;

/** Sets the wall clock (clock_settime(2)) so that it is `ahead` nanoseconds before the monotonic one (hrtime). */
export function setClock(ahead: bigint): void {
  const now = process.hrtime.bigint() + ahead;
  const timespec = Buffer.alloc(16);
  timespec.writeBigInt64LE(now / SECOND, 0);
  timespec.writeBigInt64LE(now % SECOND, 8);
  check(libc.clock_settime(CLOCK_REALTIME, timespec), "set", "the guest's clock");
}
