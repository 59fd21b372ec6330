import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundleShim } from "../../setup/bundle.ts";
import type { OpenPod } from "../../shim/sandbox/pod.ts";
import { openSandbox } from "./pod.ts";

/** Environment variable that says where the fake pods keep their state. */
export const FAKE_STATE = "TAPIR_FAKE_STATE";

// What stands in for shim/sandbox/sandbox.ts must be able to.
void (openSandbox satisfies OpenPod);

/** A real shim, bundled as it is installed, whose pods are `test/fakes/pod.ts`. Returns its directory. */
export async function bundleFakeShim(): Promise<string> {
  const outDir = mkdtempSync(join(tmpdir(), "fake-shim-"));
  const sandboxModule = join(import.meta.dirname, "pod.ts");
  await bundleShim({ nodePath: process.execPath, outDir, sandboxModule });
  return outDir;
}
