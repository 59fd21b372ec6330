/** Requires qemu-system-x86_64 and root (network namespaces, tmpfs). */
import { rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { bench, onlyTemplate, start } from "../../test/fakes/factory-start.ts";
import { readKeyParts } from "./key.ts";
import { factoryStatus } from "./status.ts";

test("a template whose files are broken is damaged, and what is wrong with it is told", async (t) => {
  const here = bench(t);
  await start(t, here);
  const directory = onlyTemplate(here);
  const status = () => factoryStatus(here.store, readKeyParts(here.plan)).templates;
  t.like(status(), [{ state: "current", differs: [], damage: undefined }]);
  truncateSync(join(directory, "state"), 100);
  t.like(status(), [{ state: "damaged", damage: "its state file has another size" }]);
  truncateSync(join(directory, "manifest.json"), 100);
  t.like(status(), [{ state: "damaged", damage: "manifest.json is damaged" }]);
  rmSync(join(directory, "manifest.json"));
  t.like(status(), [{ state: "damaged", damage: "a file of it is not there", qemuVersion: undefined }]);
});
