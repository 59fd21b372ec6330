import test from "ava";
import { codeOf } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { consoleShowsPanic, exitError } from "./exit.ts";

const exit = { code: 1, signal: undefined, guestPanicked: false, stderrTail: "" };

test("says how QEMU ended and what it said", (t) => {
  t.is(
    exitError("vm1", { ...exit, stderrTail: "qemu: no such device" }, "").message,
    "cannot keep running QEMU of vm1: it exited with code 1: qemu: no such device",
  );
  const killed = exitError("vm1", { ...exit, code: undefined, signal: "SIGKILL" }, "booting");
  t.is(killed.message, "cannot keep running QEMU of vm1: it was killed by SIGKILL");
  t.is(codeOf(killed), Code.UNAVAILABLE);
});

test("shows the console when the guest ended itself, its last lines only", (t) => {
  const console = Array.from({ length: 40 }, (_, line) => `line ${line}`).join("\n");
  const { message } = exitError("vm1", { ...exit, code: 0 }, console);
  t.regex(message, /the guest ended itself; console: line 28\n/);
  t.true(message.endsWith("line 39"));
});

test("a panic is named, with the console", (t) => {
  const error = exitError(
    "vm1",
    { ...exit, code: 0, guestPanicked: true },
    "Kernel panic - not syncing: no init",
  );
  t.regex(error.message, /the guest kernel panicked and it exited with code 0: console: Kernel panic/);
  t.is(codeOf(error), Code.ABORTED);
});

test("of a panic the first words are shown, not the end of its stack", (t) => {
  const stack = Array.from({ length: 30 }, (_, line) => `[    0.6] frame ${line}`).join("\n");
  const console = `[    0.1] booting\n[    0.5] no init\n[    0.5] Kernel panic - not syncing: no root\n${stack}`;
  const { message } = exitError("vm1", { ...exit, guestPanicked: true }, console);
  t.regex(message, /console: \[ {4}0\.5\] no init\n\[ {4}0\.5\] Kernel panic - not syncing: no root\n/);
  t.true(message.endsWith("frame 9"));
});

test("finds a panic on the console, not a quotation of one", (t) => {
  t.true(consoleShowsPanic("x\n[    0.558572] Kernel panic - not syncing: VFS: Unable to mount root fs\ny"));
  t.true(consoleShowsPanic("Kernel panic - not syncing: Attempted to kill init!"));
  t.false(consoleShowsPanic('log: "Kernel panic - not syncing"'));
});
