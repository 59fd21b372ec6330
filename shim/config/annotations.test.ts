import test from "ava";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { annotationPrefix, applyAnnotations } from "./annotations.ts";
import type { LoadedConfiguration } from "./load.ts";
import { parseConfiguration } from "./parse.ts";
import { assemble, schemaKeys } from "./schema.ts";

function node(enable: readonly string[], paths: readonly string[] = []): LoadedConfiguration {
  const text = `[runtime]
    enable_annotations = ${JSON.stringify(enable)}
    valid_annotation_paths = ${JSON.stringify(paths)}`;
  const values = parseConfiguration(text, "node.toml");
  return { configuration: assemble(values), files: ["node.toml"], values, origins: new Map() };
}

const annotation = (path: string, text: string): Record<string, string> => ({
  [annotationPrefix + path]: text,
});

function refusal(loaded: LoadedConfiguration, path: string, text: string): TapirError {
  try {
    applyAnnotations(loaded, annotation(path, text));
  } catch (thrown) {
    if (thrown instanceof TapirError) return thrown;
    throw thrown;
  }
  throw new Error("no error");
}

test("an allowed key is changed and its origin told; the node's own record stays", (t) => {
  const loaded = node(["default_vcpus", "debug", "kernel_params"]);
  const changed = applyAnnotations(loaded, {
    ...annotation("hypervisor.qemu.default_vcpus", "4"),
    ...annotation("runtime.debug", "true"),
    ...annotation("hypervisor.qemu.kernel_params", "quiet x=1"),
    "io.kubernetes.cri.container-type": "sandbox",
    "io.tapir.other": "ignored",
  });
  t.is(changed.configuration.hypervisor.qemu.defaultVcpus, 4);
  t.true(changed.configuration.runtime.debug);
  t.deepEqual(changed.configuration.hypervisor.qemu.kernelParams, ["quiet", "x=1"]);
  const origin = changed.origins.get("hypervisor.qemu.default_vcpus");
  t.is(origin, "annotation io.tapir.config.hypervisor.qemu.default_vcpus");
  t.is(loaded.configuration.hypervisor.qemu.defaultVcpus, 1);
});

test("nothing is allowed by default, and the refusal says how to allow it", (t) => {
  for (const { path, key } of schemaKeys.values()) {
    const error = refusal(node([]), path, "1");
    t.is(error.code, Code.PERMISSION_DENIED);
    t.true(error.message.includes(annotationPrefix + path));
    t.is(error.message.includes("enable_annotations in section [runtime]"), !key.nodeWide);
  }
});

test("an entry means a whole name or a whole path, never a part of one", (t) => {
  const allowed = (entry: string): boolean => {
    try {
      applyAnnotations(node([entry]), annotation("hypervisor.qemu.default_vcpus", "2"));
      return true;
    } catch {
      return false;
    }
  };
  for (const entry of [
    "default_vcpus",
    "hypervisor.qemu.default_vcpus",
    "default_.*",
    "a|default_vcpus",
    ".*",
  ]) {
    t.true(allowed(entry), entry);
  }
  for (const entry of ["default", "vcpus", "hypervisor", "default_vcpus2", "a|default_vcpu"]) {
    t.false(allowed(entry), entry);
  }
});

test("keys of the node stay the node's even when everything is allowed", (t) => {
  const loaded = node([".*"], ["/**"]);
  const paths = ["runtime.state_dir", "runtime.enable_annotations", "runtime.valid_annotation_paths"];
  for (const path of paths) t.regex(refusal(loaded, path, "/x").message, /belongs to the node/);
});

test("a path needs the list of paths too", (t) => {
  const kernel = "hypervisor.qemu.kernel";
  t.regex(refusal(node(["kernel"]), kernel, "/evil").message, /add it to valid_annotation_paths/);
  const loaded = node(["kernel"], ["/opt/kernels/*", "/boot/one"]);
  const read = (text: string): string =>
    applyAnnotations(loaded, annotation(kernel, text)).configuration.hypervisor.qemu.kernel;
  t.is(read("/opt/kernels/a"), "/opt/kernels/a");
  t.is(read("/boot/one"), "/boot/one");
  const hostile = [
    "/opt/kernels/../../etc/shadow",
    "/opt/kernels/..",
    "/opt/kernels/a/b",
    "/opt/kernels",
    "opt/kernels/a",
    "/boot/one/",
    "//boot/one",
    "",
    "/opt/kernels/a\nb",
    "/opt/kernels/*\0",
  ];
  for (const text of hostile)
    t.true(refusal(loaded, kernel, text) instanceof TapirError, JSON.stringify(text));
});

test("values are checked as in the file", (t) => {
  const loaded = node([".*"]);
  const bad: readonly [string, string][] = [
    ["hypervisor.qemu.default_vcpus", "0"],
    ["hypervisor.qemu.default_vcpus", "241"],
    ["hypervisor.qemu.default_vcpus", "-1"],
    ["hypervisor.qemu.default_vcpus", "1e1"],
    ["hypervisor.qemu.default_vcpus", "0x10"],
    ["hypervisor.qemu.default_vcpus", " 1"],
    ["hypervisor.qemu.default_vcpus", ""],
    ["hypervisor.qemu.default_vcpus", "9".repeat(400)],
    ["runtime.debug", "yes"],
    ["network.internetworking_model", "bridge"],
  ];
  for (const [path, text] of bad) {
    const error = refusal(loaded, path, text);
    t.is(error.code, Code.INVALID_ARGUMENT);
    t.regex(error.message, /expected .*, got /);
  }
});

test("an unknown key gets the nearest one", (t) => {
  const error = refusal(node([".*"]), "hypervisor.default_vcpus", "1");
  t.is(error.code, Code.INVALID_ARGUMENT);
  t.regex(error.message, /did you mean "io\.tapir\.config\.hypervisor\.qemu\.default_vcpus"/);
  for (const path of ["", "__proto__", "hypervisor", "hypervisor.qemu", "constructor"]) {
    t.regex(refusal(node([".*"]), path, "1").message, /there is no key/);
  }
});
