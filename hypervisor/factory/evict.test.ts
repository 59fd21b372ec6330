import test from "ava";
import { MAX_TEMPLATES, superfluous } from "./evict.ts";
import { fingerprint } from "./key.ts";
import type { Manifest } from "./manifest.ts";
import type { StoredTemplate } from "./store.ts";

function template(key: string, usedAt: number, kernel: string | undefined): StoredTemplate {
  const path = process.execPath;
  const manifest =
    kernel === undefined
      ? undefined
      : ({ files: { kernel: path }, parts: { kernel } } as unknown as Manifest);
  return { key, hits: 0, usedAt, manifest };
}

const current = fingerprint(process.execPath);

test("goes: what has no manifest, and what was made from other files", (t) => {
  const templates = [template("a", 3, undefined), template("b", 2, "1:2:3:4"), template("c", 1, current)];
  t.deepEqual(superfluous(templates, "new"), ["a", "b"]);
});

test("of the rest, the ones used last stay; the wanted one always", (t) => {
  const templates = Array.from({ length: MAX_TEMPLATES + 1 }, (_, index) =>
    template(`t${index}`, index, current),
  );
  t.deepEqual(superfluous(templates, "new"), ["t1", "t0"]);
  t.deepEqual(superfluous(templates, "t0"), ["t1"]);
});
