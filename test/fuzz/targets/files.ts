import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readManifest, writeManifest } from "../../../hypervisor/factory/manifest.ts";
import { applyAnnotations } from "../../../shim/config/annotations.ts";
import { loadConfiguration } from "../../../shim/config/load.ts";
import { parseConfiguration } from "../../../shim/config/parse.ts";
import { renderToml } from "../../../shim/config/render-toml.ts";
import { readSandboxSpec } from "../../../shim/sandbox/bundle.ts";
import { parseResolvConf } from "../../../shim/sandbox/dns.ts";
import { ledgerOwner, readLedger } from "../../../sys/ledger.ts";
import type { Target } from "../fuzz.ts";

/** A folder on tmpfs, for readers of files. */
const directory = mkdtempSync("/dev/shm/tapir-fuzz-");
process.once("exit", () => rmSync(directory, { recursive: true, force: true }));

const spec = {
  ociVersion: "1.1.0",
  hostname: "pod",
  root: { path: "rootfs", readonly: true },
  process: { user: { uid: 0 }, args: ["/pause"], cwd: "/" },
  mounts: [
    { destination: "/etc/resolv.conf", type: "bind", source: "/etc/resolv.conf", options: ["rbind", "ro"] },
  ],
  annotations: {
    "io.kubernetes.cri.container-type": "sandbox",
    "io.kubernetes.cri.sandbox-id": "0123",
    "io.tapir.config.hypervisor.qemu.default_vcpus": "2",
  },
  linux: {
    cgroupsPath: "/kubepods/pod1/0123",
    sysctl: { "net.core.somaxconn": "1024" },
    namespaces: [{ type: "network", path: "/run/netns/pod" }, { type: "pid" }],
    devices: [{ path: "/dev/fuse", type: "c", major: 10, minor: 229, fileMode: 438, uid: 0, gid: 0 }],
    resources: { devices: [{ allow: false, access: "rwm" }], memory: { limit: 1 << 28 } },
  },
};

const WORDS_OF_JSON = [
  "null",
  "[]",
  "{}",
  '""',
  "-1",
  "1e999",
  "true",
  '"__proto__"',
  '"\\u0000"',
  "[[[[[[[[",
];

const oci: Target = {
  name: "OCI spec",
  seeds: [Buffer.from(JSON.stringify(spec)), Buffer.from(JSON.stringify({ ociVersion: "1.1.0" }))],
  words: [
    ...WORDS_OF_JSON,
    '"../../.."',
    '"io.kubernetes.cri.container-type":"container"',
    '"linux":',
    '"path":',
  ],
  run(input) {
    writeFileSync(join(directory, "config.json"), input);
    readSandboxSpec("0123", "k8s.io", directory);
  },
};

const annotations: Target = {
  name: "annotations",
  seeds: [
    "hypervisor.qemu.default_vcpus=4\nhypervisor.qemu.default_memory_mib=512",
    "hypervisor.qemu.kernel=/tmp/evil\nnetwork.internetworking_model=none\nruntime.state_dir=/",
  ].map((text) => Buffer.from(text)),
  words: [
    "hypervisor.qemu.",
    "runtime.enable_annotations=*",
    "=",
    "\n",
    "..",
    "__proto__",
    "9".repeat(400),
    "*",
  ],
  run(input) {
    const pairs = input
      .toString("utf8")
      .split("\n")
      .map((line) => [`io.tapir.config.${line.split("=")[0]}`, line.slice(line.indexOf("=") + 1)]);
    const { configuration } = applyAnnotations(allowing, Object.fromEntries(pairs) as Record<string, string>);
    // Whatever the annotations say, these are the operator's.
    const { stateDir, enableAnnotations } = configuration.runtime;
    const changed = stateDir !== allowing.configuration.runtime.stateDir;
    if (changed || enableAnnotations !== allowing.configuration.runtime.enableAnnotations)
      throw new Error(`a pod changed what is the operator's: ${stateDir} ${enableAnnotations}`);
  },
};

const allowing = allowAll();

function allowAll(): ReturnType<typeof loadConfiguration> {
  const file = join(directory, "configuration.toml");
  writeFileSync(file, '[runtime]\nenable_annotations = [".*"]\n');
  return loadConfiguration({ optionsPath: file, environment: {} });
}

const toml: Target = {
  name: "TOML",
  seeds: [
    Buffer.from(renderToml()),
    Buffer.from('[hypervisor.qemu]\ndefault_vcpus = 2\nkernel_parameters = ["quiet"]\n'),
  ],
  words: ["[", "]", "[[", "=", '"', "'''", "\\u0000", "nan", "1e999", "0x", "[a.b.c.d]", "__proto__ = 1"],
  run(input) {
    parseConfiguration(input.toString("utf8"), "fuzz.toml");
  },
};

const manifest: Target = {
  name: "template manifest",
  seeds: [Buffer.from(manifestText())],
  words: [...WORDS_OF_JSON, '"bytes":', '"sha256":', "-0"],
  run(input) {
    writeFileSync(join(directory, "manifest.json"), input);
    readManifest(directory);
  },
};

function manifestText(): string {
  const example = {
    key: "0".repeat(32),
    parts: { format: "1" },
    files: { qemu: "/usr/bin/qemu" },
    qemuVersion: "7.2.22",
    createdAt: 1,
    buildMs: 1,
    memory: { bytes: 1 << 28, allocatedBytes: 1 << 26 },
    state: { bytes: 100, sha256: "0".repeat(64) },
    monotonicNanoseconds: "5",
  };
  writeManifest(directory, example);
  return JSON.stringify(example);
}

const ledger: Target = {
  name: "ledger",
  seeds: [
    [
      '{"owner":{"pid":12,"startTime":"34"}}',
      '{"id":1,"step":"network.tap","undo":{"kind":"link","netns":"/run/netns/a","netnsInode":1,"name":"tap0"}}',
      '{"id":2,"step":"storage.mount","undo":{"kind":"mount","target":"/run/x"}}',
      '{"id":1,"done":true}',
      "",
    ].join("\n"),
  ].map((text) => Buffer.from(text)),
  words: [...WORDS_OF_JSON, "\n", '"done":true', '"kind":"file"'],
  run(input) {
    writeFileSync(join(directory, "ledger"), input);
    readLedger(directory);
    ledgerOwner(directory);
  },
};

const resolvConf: Target = {
  name: "resolv.conf",
  seeds: [Buffer.from("nameserver 10.96.0.10\nsearch default.svc.cluster.local svc\noptions ndots:5\n# c\n")],
  words: ["nameserver ", "search ", "options ", "\n", "\t", "::1", "fe80::1%eth0"],
  run(input) {
    parseResolvConf(input.toString("utf8"));
  },
};

export const fileTargets: readonly Target[] = [oci, annotations, toml, manifest, ledger, resolvConf];
