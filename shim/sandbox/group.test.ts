import test from "ava";
import { TapirError } from "../../sys/error.ts";
import { podGroup } from "./group.ts";

test("containerd's CRI and CRI-O say what is a sandbox and what belongs to one", (t) => {
  for (const [type, sandbox] of [
    ["io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id"],
    ["io.kubernetes.cri-o.ContainerType", "io.kubernetes.cri-o.SandboxID"],
  ] as const) {
    t.deepEqual(podGroup("a", { [type]: "sandbox", [sandbox]: "a" }), { kind: "sandbox", sandboxId: "a" });
    t.deepEqual(podGroup("b", { [type]: "container", [sandbox]: "a" }), {
      kind: "container",
      sandboxId: "a",
    });
    t.throws(() => podGroup("b", { [type]: "container" }), {
      instanceOf: TapirError,
      message: new RegExp(`${sandbox} is missing`),
    });
  }
});

test("without annotations a container stands alone", (t) => {
  t.deepEqual(podGroup("a", {}), { kind: "single", sandboxId: "a" });
  t.deepEqual(podGroup("a", { "io.kubernetes.cri.sandbox-id": "x" }), { kind: "single", sandboxId: "a" });
});
