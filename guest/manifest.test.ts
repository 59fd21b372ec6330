import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { GUEST_FILES, readCurrentManifest, writeManifest } from "./manifest.ts";

const FACTS = { key: "k1", kernelRelease: "6.1.0", nodeVersion: "24.0.0", packages: { crun: "1.8" } };

function imageFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tapir-manifest-"));
  for (const name of GUEST_FILES) writeFileSync(join(folder, name), name);
  return folder;
}

test("a manifest names hash and size of every file and is found again by its key", (t) => {
  const folder = imageFolder();
  t.teardown(() => rmSync(folder, { recursive: true }));
  const written = writeManifest(folder, FACTS);
  const sha256 = createHash("sha256").update("root.erofs").digest("hex");
  t.deepEqual(written.files["root.erofs"], { sha256, size: 10 });
  t.deepEqual(readCurrentManifest(folder, "k1"), written);
});

test("another key, a file cut short or gone, a damaged manifest: not current", (t) => {
  const folder = imageFolder();
  t.teardown(() => rmSync(folder, { recursive: true }));
  writeManifest(folder, FACTS);
  t.is(readCurrentManifest(folder, "k2"), undefined);
  truncateSync(join(folder, "root.erofs"), 3);
  t.is(readCurrentManifest(folder, "k1"), undefined);
  rmSync(join(folder, "root.erofs"));
  t.is(readCurrentManifest(folder, "k1"), undefined);
  for (const damaged of ["{", "null", '{"key":"k1"}']) {
    writeFileSync(join(folder, "manifest.json"), damaged);
    t.is(readCurrentManifest(folder, "k1"), undefined, damaged);
  }
  t.is(readCurrentManifest("/nonexistent", "k1"), undefined);
});
