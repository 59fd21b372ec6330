import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { listSandboxes, listUnclaimed } from "./directory.ts";

test("sandboxes have a ledger; a directory without one is nobody's once it is old", (t) => {
  const stateDir = mkdtempSync(join(tmpdir(), "state-"));
  t.teardown(() => rmSync(stateDir, { recursive: true }));
  for (const path of ["k8s.io/living", "k8s.io/young", "k8s.io/old", ".cache/clone"])
    mkdirSync(join(stateDir, path), { recursive: true });
  writeFileSync(join(stateDir, "k8s.io/living/ledger"), "");
  for (const path of ["k8s.io/living", "k8s.io/old", ".cache/clone"]) utimesSync(join(stateDir, path), 1, 1);
  const ids = (places: readonly { readonly id: string }[]): string[] => places.map(({ id }) => id);
  t.deepEqual(ids(listSandboxes(stateDir)), ["living"]);
  t.deepEqual(ids(listUnclaimed(stateDir)), ["old"]);
});
