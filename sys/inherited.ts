import { check, libc } from "./libc.ts";

const SYS_CLOSE_RANGE = 436;
const CLOSE_RANGE_CLOEXEC = 4;
const FIRST = 3;
const LAST = 0xffff_ffff;

/**
 * No descriptor of this process but 0 to 2 gets into a program that is executed from now on, unless it is handed over by name
 * (close_range(2)). Ours are made so; whoever started us may have left some of another kind.
 */
export function keepDescriptors(): void {
  check(
    Number(libc.syscall(SYS_CLOSE_RANGE, FIRST, LAST, CLOSE_RANGE_CLOEXEC, 0)),
    "keep",
    "this process's descriptors to itself",
    "use Linux 5.11 or later",
  );
}
