import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { exitFile } from "../bundle-files.ts";
import { openExitSlot } from "./exits.ts";

const first = { pid: 7, status: 3, exitedAtMs: 1000 };

test("the first record is the true one, in memory and on disk", async (t) => {
  const bundle = mkdtempSync(join(tmpdir(), "exits-"));
  t.teardown(() => rmSync(bundle, { recursive: true }));
  const slot = openExitSlot(bundle);
  const early = slot.wait;
  t.is(slot.record, undefined);
  t.true(slot.settle(first));
  t.false(slot.settle({ pid: 7, status: 137, exitedAtMs: 2000 }));
  t.deepEqual(
    [await early, await slot.wait, slot.record, exitFile.read(bundle)],
    [first, first, first, first],
  );
});

test("a bundle that is gone does not keep those who wait", async (t) => {
  const slot = openExitSlot("/nonexistent");
  t.true(slot.settle(first));
  t.deepEqual(await slot.wait, first);
});

test("when there was no process after all, those who wait hear why", async (t) => {
  const slot = openExitSlot("/nonexistent");
  slot.abandon(new Error("no VM"));
  await t.throwsAsync(slot.wait, { message: "no VM" });
});
