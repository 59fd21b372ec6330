import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { readRemembered, remember } from "./memory.ts";

test("an answer is remembered for its question only, and a damaged memory is none", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "tapir-memory-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const cache = join(folder, "made/when/needed");
  t.is(readRemembered(cache, "packages", "q1"), undefined);
  remember(cache, "packages", "q1", [1, 2]);
  t.deepEqual(readRemembered<number[]>(cache, "packages", "q1"), [1, 2]);
  t.is(readRemembered(cache, "packages", "q2"), undefined);
  remember(cache, "packages", "q2", "new");
  t.is(readRemembered(cache, "packages", "q1"), undefined);
  writeFileSync(join(cache, "packages.json"), '{"question":');
  t.is(readRemembered(cache, "packages", "q2"), undefined);
});
