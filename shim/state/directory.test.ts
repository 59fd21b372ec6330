import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import {
  checkSandboxDirectory,
  listSandboxes,
  listUnclaimed,
  managementSocket,
  sandboxDirectory,
} from "./directory.ts";

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

test("a state directory in which the longest name of a socket has no room is refused, with the way out", (t) => {
  const id = "0".repeat(64);
  const room = 107 - Buffer.byteLength(managementSocket(sandboxDirectory("/", "k8s.io", id)));
  const directory = (letters: number): string =>
    sandboxDirectory(`/${"é".repeat(letters / 2)}`, "k8s.io", id);
  t.notThrows(() => checkSandboxDirectory(directory(room - (room % 2))));
  const error = t.throws(() => checkSandboxDirectory(directory(room - (room % 2) + 2)), {
    instanceOf: TapirError,
  });
  t.is(error?.code, Code.INVALID_ARGUMENT);
  t.regex(
    error?.message ?? "",
    /management\.sock: the path has 10[89] bytes.*set a shorter runtime\.state_dir$/,
  );
});
