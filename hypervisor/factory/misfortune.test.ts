import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { evictTemplates } from "./evict.ts";
import { recallMisfortune, rememberMisfortune } from "./misfortune.ts";

const [OLD, NEW, BROKEN] = ["a", "b", "c"].map((letter) => letter.repeat(32)) as [string, string, string];

test("what is remembered no longer goes with the templates that are too many", (t) => {
  const store = mkdtempSync(join(tmpdir(), "tapir-misfortune-"));
  t.teardown(() => rmSync(store, { recursive: true }));
  const ten = 10 * 60_000;
  writeFileSync(join(store, `failed-${OLD}`), JSON.stringify({ reason: "long ago", at: Date.now() - ten }));
  writeFileSync(join(store, `failed-${BROKEN}`), "{");
  writeFileSync(join(store, "stranger"), "");
  rememberMisfortune(store, NEW, new Error("just now"));
  t.is(recallMisfortune(store, OLD), undefined);
  evictTemplates(store, NEW);
  t.deepEqual(readdirSync(store).toSorted(), [`failed-${NEW}`, "stranger"]);
  t.like(recallMisfortune(store, NEW), { reason: "just now" });
});
