import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { VmExit } from "../hypervisor.ts";

/** Lines of the console that an error shows. */
const CONSOLE_LINES = 12;

const PANIC = /^(\[[^\]]*\] )?Kernel panic - not syncing/;

/** Whether the console of a guest that ended shows a kernel panic: not every guest kernel has a driver that reports one. */
export function consoleShowsPanic(consoleTail: string): boolean {
  return consoleTail.split("\n").some((line) => PANIC.test(line));
}

/** Why QEMU ended, as an error: `QEMU of <vm> ...`. */
export function exitError(vm: string, exit: VmExit, consoleTail: string): TapirError {
  return new TapirError({
    code: exit.guestPanicked ? Code.ABORTED : Code.UNAVAILABLE,
    operation: "keep running",
    object: `QEMU of ${vm}`,
    cause: [howItEnded(exit), whatItSaid(exit, consoleTail)].filter((part) => part !== "").join(": "),
  });
}

function howItEnded({ code, signal, guestPanicked }: VmExit): string {
  const ending =
    signal === undefined ? `it exited with code ${code ?? "unknown"}` : `it was killed by ${signal}`;
  return guestPanicked ? `the guest kernel panicked and ${ending}` : ending;
}

function whatItSaid({ stderrTail, guestPanicked, code }: VmExit, consoleTail: string): string {
  const lines = tellingLines(consoleTail).join("\n");
  if (guestPanicked) return `console: ${lines}`;
  if (stderrTail !== "") return stderrTail;
  return code === 0 && lines !== "" ? `the guest ended itself; console: ${lines}` : "";
}

/** A panic says why first and prints its stack then; anything else is explained by its end. */
function tellingLines(consoleTail: string): string[] {
  const lines = consoleTail.split("\n");
  const panic = lines.findIndex((line) => PANIC.test(line));
  // The line before often names the cause: a file system that is not there, an init that exited.
  const first = panic < 0 ? Math.max(0, lines.length - CONSOLE_LINES) : Math.max(0, panic - 1);
  return lines.slice(first, first + CONSOLE_LINES);
}
