import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { codeOf } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { readSandboxSpec } from "./bundle.ts";

function bundleWith(t: ExecutionContext, config?: unknown): string {
  const bundle = mkdtempSync(join(tmpdir(), "bundle-"));
  t.teardown(() => rmSync(bundle, { recursive: true }));
  if (config !== undefined) {
    writeFileSync(join(bundle, "config.json"), typeof config === "string" ? config : JSON.stringify(config));
  }
  return bundle;
}

const config = {
  ociVersion: "1.0.2",
  hostname: "web",
  process: { args: ["/pause"] },
  annotations: { "io.kubernetes.cri.container-type": "sandbox", "io.tapir.x": "1" },
  linux: { namespaces: [{ type: "pid" }, { type: "network", path: "/run/netns/cni-1" }], resources: {} },
  mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
};

test("a CRI sandbox", (t) => {
  const bundle = bundleWith(t, config);
  t.deepEqual(readSandboxSpec("abc", "k8s.io", bundle), {
    id: "abc",
    namespace: "k8s.io",
    bundle,
    kind: "sandbox",
    hostname: "web",
    netns: "/run/netns/cni-1",
    hostNetwork: false,
    sysctls: {},
    shmBytes: 0n,
    cgroupsPath: "",
    dns: { servers: [], searches: [], options: [] },
    annotations: config.annotations,
  });
});

test("what Go leaves out or writes as null is empty", (t) => {
  const { linux } = config;
  const spec = readSandboxSpec("abc", "n", bundleWith(t, { linux, annotations: null, mounts: null }));
  t.like(spec, { kind: "single", hostname: "", annotations: {} });
});

const bad: [string, unknown, Code, RegExp][] = [
  [
    "no config.json",
    undefined,
    Code.NOT_FOUND,
    /cannot read .*config\.json: there is no such file; a bundle is/,
  ],
  [
    "broken JSON",
    '{"linux":',
    Code.INVALID_ARGUMENT,
    /cannot parse .*config\.json: .*JSON.*; it must be an OCI/,
  ],
  ["no object", "[]", Code.INVALID_ARGUMENT, /the spec is not an object/],
  ["empty", "", Code.INVALID_ARGUMENT, /cannot parse/],
  [
    "a namespace of the wrong type",
    { linux: { namespaces: [7] } },
    Code.INVALID_ARGUMENT,
    /linux\.namespaces\[0\] is not/,
  ],
  [
    "namespaces of the wrong type",
    { linux: { namespaces: {} } },
    Code.INVALID_ARGUMENT,
    /linux\.namespaces is not a list/,
  ],
  [
    "an annotation that is no text",
    { annotations: { a: 1 } },
    Code.INVALID_ARGUMENT,
    /annotations\["a"\] is not a string/,
  ],
  ["linux of the wrong type", { linux: "x" }, Code.INVALID_ARGUMENT, /linux is not an object/],
  [
    "a network namespace to be made",
    {
      annotations: { "io.kubernetes.cri.container-type": "sandbox" },
      linux: { namespaces: [{ type: "network" }] },
    },
    Code.INVALID_ARGUMENT,
    /has no path; start it through CRI/,
  ],
  [
    "a relative netns",
    { linux: { namespaces: [{ type: "network", path: "x" }] } },
    Code.INVALID_ARGUMENT,
    /"x", is not absolute/,
  ],
  [
    "the bundle of a container",
    {
      annotations: { "io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": "pod" },
    },
    Code.INVALID_ARGUMENT,
    /that of a container of sandbox pod/,
  ],
];
for (const [name, content, code, message] of bad) {
  test(`refused: ${name}`, (t) => {
    const error = t.throws(() => readSandboxSpec("abc", "n", bundleWith(t, content)), { message });
    t.is(codeOf(error), code);
  });
}
