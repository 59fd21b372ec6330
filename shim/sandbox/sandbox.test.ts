import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { openSandbox } from "./sandbox.ts";

const quiet = () => undefined;
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet };

/** Begins a pod that fails before anything is acquired: it would be in the node's network. */
async function beginPod(t: ExecutionContext, runtime: string): Promise<{ asked: number }> {
  const directory = mkdtempSync(join(tmpdir(), "tapir-sandbox-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const configPath = join(directory, "c.toml");
  const files = ["kernel", "initramfs", "image"].map((key) => `${key} = "${configPath}"`);
  writeFileSync(
    configPath,
    `[hypervisor.qemu]\npath = "/bin/sh"\n${files.join("\n")}\n[runtime]\n${runtime}`,
  );
  let asked = 0;
  const pod = openSandbox({
    spec: {
      ...{ id: "pod", namespace: "k8s.io", bundle: directory, kind: "sandbox", hostname: "" },
      ...{ netns: undefined, hostNetwork: true, sysctls: {}, cgroupsPath: "", annotations: {} },
      shmBytes: 0n,
      dns: { servers: [], searches: [], options: [] },
    },
    ...{ configPath, calledAtMs: 0, log, onHelpless: quiet },
    showDebug: () => void asked++,
  });
  await t.throwsAsync(pod.create(deadlineIn(5000, "create")), {
    message: /no network namespace/,
  });
  return { asked };
}

test("runtime.debug asks for debug lines", async (t) => {
  t.is((await beginPod(t, "debug = true\n")).asked, 1);
  t.is((await beginPod(t, "")).asked, 0);
});
