import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { type ConfigurationSource, loadConfiguration } from "./load.ts";

interface Tree {
  readonly root: string;
  put(name: string, text: string | Uint8Array): string;
  source(more?: ConfigurationSource): ConfigurationSource;
}

function tree(t: ExecutionContext): Tree {
  const root = mkdtempSync(join(tmpdir(), "tapir-config-"));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  return {
    root,
    put(name, text) {
      const file = join(root, name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
      return file;
    },
    source: (more = {}) => ({
      environment: {},
      searchPath: [join(root, "etc/configuration.toml"), join(root, "usr/configuration.toml")],
      ...more,
    }),
  };
}

const vcpus = (count: number): string => `[hypervisor.qemu]\ndefault_vcpus = ${count}\n`;
const memory = (mib: number): string => `[hypervisor.qemu]\ndefault_memory_mib = ${mib}\n`;

function refusal(t: ExecutionContext, source: ConfigurationSource): TapirError {
  const error = t.throws(() => loadConfiguration(source), { instanceOf: TapirError });
  if (error === undefined) throw new Error("no error");
  return error;
}

test("without any file the defaults hold", (t) => {
  const loaded = loadConfiguration(tree(t).source());
  t.is(loaded.configuration.hypervisor.qemu.defaultMemoryMib, 256);
  t.is(loaded.configuration.network.internetworkingModel, "tcfilter");
  t.is(loaded.configuration.runtime.stateDir, "/run/tapir");
  t.deepEqual(loaded.files, []);
});

test("order: options, environment, operator, package", (t) => {
  const { put, source } = tree(t);
  const read = (more?: ConfigurationSource): number =>
    loadConfiguration(source(more)).configuration.hypervisor.qemu.defaultVcpus;
  put("usr/configuration.toml", vcpus(2));
  t.is(read(), 2);
  put("etc/configuration.toml", vcpus(3));
  t.is(read(), 3);
  const environment = { TAPIR_CONFIG: put("env.toml", vcpus(4)) };
  t.is(read({ environment }), 4);
  t.is(read({ environment, optionsPath: put("options.toml", vcpus(5)) }), 5);
  t.is(read({ environment: { TAPIR_CONFIG: "" }, optionsPath: "" }), 3);
});

test("drop-ins are merged by name, key by key; origins tell who set what", (t) => {
  const { put, source } = tree(t);
  const main = put("etc/configuration.toml", `${vcpus(2)}kernel = "/main"\n`);
  const late = put("etc/config.d/20-late.toml", vcpus(9));
  const early = put("etc/config.d/10-early.toml", `${vcpus(8)}default_memory_mib = 300\n`);
  put("etc/config.d/30-not-me.toml.bak", "broken");
  put("etc/config.d/.hidden.toml", "broken");
  const loaded = loadConfiguration(source());
  const { defaultVcpus, defaultMemoryMib, kernel } = loaded.configuration.hypervisor.qemu;
  t.deepEqual([defaultVcpus, defaultMemoryMib, kernel], [9, 300, "/main"]);
  t.deepEqual(loaded.files, [main, early, late]);
  t.is(loaded.origins.get("hypervisor.qemu.default_vcpus"), late);
  t.is(loaded.origins.get("hypervisor.qemu.default_memory_mib"), early);
  t.is(loaded.origins.get("hypervisor.qemu.path"), undefined);
});

test("the operator's drop-ins change a package's file and the built-in defaults, but not a named file", (t) => {
  const { put, source } = tree(t);
  put("etc/config.d/1.toml", memory(400));
  const read = (more?: ConfigurationSource): number =>
    loadConfiguration(source(more)).configuration.hypervisor.qemu.defaultMemoryMib;
  t.is(read(), 400);
  put("usr/configuration.toml", memory(300));
  put("usr/config.d/9.toml", memory(350));
  t.is(read(), 400);
  t.is(read({ optionsPath: put("mine/c.toml", "") }), 256);
});

test("a drop-in may be a symlink; one that points nowhere is as if it were not there", (t) => {
  const { root, put, source } = tree(t);
  const real = put("elsewhere.toml", vcpus(7));
  put("etc/configuration.toml", "");
  mkdirSync(join(root, "etc/config.d"));
  symlinkSync(real, join(root, "etc/config.d/a.toml"));
  symlinkSync("/nonexistent", join(root, "etc/config.d/b.toml"));
  t.is(loadConfiguration(source()).configuration.hypervisor.qemu.defaultVcpus, 7);
});

test("a list replaces a list", (t) => {
  const { put, source } = tree(t);
  put("etc/configuration.toml", '[runtime]\nenable_annotations = ["a", "b"]\n');
  put("etc/config.d/1.toml", '[runtime]\nenable_annotations = ["c"]\n');
  t.deepEqual(loadConfiguration(source()).configuration.runtime.enableAnnotations, ["c"]);
});

test("a named file must be there", (t) => {
  const { source } = tree(t);
  const environment = refusal(t, source({ environment: { TAPIR_CONFIG: "/nonexistent/c.toml" } }));
  t.is(environment.code, Code.NOT_FOUND);
  t.regex(environment.message, /\/nonexistent\/c\.toml.*TAPIR_CONFIG/);
  const options = refusal(t, source({ optionsPath: "/nonexistent/c.toml" }));
  t.regex(options.message, /ConfigPath/);
  t.is(refusal(t, source({ optionsPath: "c.toml" })).code, Code.INVALID_ARGUMENT);
});

test("a fault in a drop-in names the drop-in", (t) => {
  const { put, source } = tree(t);
  put("etc/configuration.toml", "");
  const file = put("etc/config.d/1.toml", "[runtime]\ndebug = 1\n");
  t.true(refusal(t, source()).message.includes(`${file}: runtime.debug: expected true or false, got 1`));
});

test("what is not a small UTF-8 text file is refused, and a fifo does not block", (t) => {
  const { root, put, source } = tree(t);
  const fifo = join(root, "fifo");
  execFileSync("mkfifo", [fifo]);
  const cases: readonly [string, RegExp][] = [
    [fifo, /not a regular file/],
    [root, /not a regular file/],
    [put("latin1.toml", Uint8Array.of(0x23, 0xe9, 0x0a)), /not UTF-8/],
    [put("large.toml", "#".repeat(1024 * 1024 + 1)), /larger than 1048576 bytes/],
  ];
  for (const [optionsPath, expected] of cases) {
    const error = refusal(t, source({ optionsPath }));
    t.is(error.code, Code.INVALID_ARGUMENT);
    t.regex(error.message, expected);
  }
});

test("a path through a file is an error, not the next place of the search", (t) => {
  const { put, source } = tree(t);
  const file = put("plain", "");
  t.regex(refusal(t, source({ searchPath: [join(file, "c.toml"), "/nonexistent"] })).message, /ENOTDIR/);
});
