import { check, libc } from "../sys/libc.ts";
import { log } from "./log.ts";

/** RB_POWER_OFF (linux/reboot.h); QEMU exits. */
const POWER_OFF = 0x4321_fedc;

/** Turns the guest off, as only its first process may; elsewhere (a test, a trial) this process ends. */
export function powerOff(reason: string): void {
  log("power off", { reason });
  if (process.pid !== 1) process.exit(0);
  libc.sync();
  check(libc.reboot(POWER_OFF), "power off", "the guest");
}
