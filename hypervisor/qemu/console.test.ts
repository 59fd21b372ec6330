import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { socketOf, socketPair } from "../../sys/fdpass.ts";
import { type GuestConsole, recordConsole } from "./console.ts";

const LIMITS = { tailBytes: 32, fileBytes: 1000, bytesPerSecond: 1_000_000 };

interface Setup {
  readonly directory: string;
  readonly path: string;
  readonly guest: Socket;
  readonly console: GuestConsole;
}

function setUp(t: ExecutionContext, limits = LIMITS): Setup {
  const directory = mkdtempSync(join(tmpdir(), "tapir-console-"));
  const path = join(directory, "console.log");
  const { ours, theirs } = socketPair();
  const guest = socketOf(theirs);
  const console = recordConsole(socketOf(ours), path, limits);
  t.teardown(() => {
    guest.destroy();
    rmSync(directory, { recursive: true, force: true });
  });
  return { directory, path, guest, console };
}

test("what the guest says is in the file, its end at hand", async (t) => {
  const { guest, console, path } = setUp(t);
  guest.end("booting\r\n".repeat(10));
  await console.ended;
  t.is(readFileSync(path, "utf8"), "booting\r\n".repeat(10));
  t.is(console.tail(), "ing\nbooting\nbooting\nbooting");
});

test("the file has a limit, and the part before the last is kept", async (t) => {
  const { guest, console, path } = setUp(t);
  for (let line = 0; line < 500; line += 1) guest.write(`line ${line}\n`);
  guest.end("x".repeat(5000));
  await console.ended;
  for (const file of [path, `${path}.1`]) t.true(statSync(file).size <= LIMITS.fileBytes);
  t.is(console.tail(), "x".repeat(LIMITS.tailBytes));
});

test("a directory that is gone ends the file and nothing else", async (t) => {
  const { guest, console, directory } = setUp(t);
  rmSync(directory, { recursive: true });
  guest.end("y".repeat(3000));
  await console.ended;
  t.is(console.tail(), "y".repeat(LIMITS.tailBytes));
});

test("a guest that says too much at once has to wait", async (t) => {
  const { guest, console } = setUp(t, { ...LIMITS, bytesPerSecond: 100 });
  guest.write("first ".repeat(100));
  await new Promise((resolve) => setTimeout(resolve, 100));
  guest.end("second");
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.false(console.tail().includes("second"));
  await console.ended;
  t.true(console.tail().endsWith("second"));
});
