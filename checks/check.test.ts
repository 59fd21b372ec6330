import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { unreadKeys } from "./configuration.ts";
import { findCycles } from "./cycles.ts";
import { exportsCheck } from "./exports.ts";
import { fileSizeCheck } from "./file-size.ts";
import { forbiddenIn } from "./forbidden.ts";
import { differences } from "./generated.ts";
import { importsCheck, roomOf } from "./imports.ts";
import { linksCheck } from "./links.ts";
import type { Check } from "./problem.ts";
import { rooms } from "./rooms.ts";
import { importsOf } from "./source.ts";

function project(t: ExecutionContext, files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), "tapir-checks-"));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  for (const [name, text] of Object.entries({ "package.json": "{}", ...files })) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}

async function problemsOf(check: Check, root: string): Promise<string[]> {
  return (await check.run(root)).problems.map(({ file, text }) => `${file}: ${text}`);
}

test("imports are read from every form of statement", (t) => {
  const text = [
    'import type { A } from "./a.ts";',
    'import { type B, c as d } from "../network/b.ts";',
    'import * as e from "koffi";',
    'import f, {\n  g,\n} from "@grpc/grpc-js/build/x.js";',
    'import "./side.ts";',
    'export { h } from "./h.ts";',
    'export * from "./i.ts";',
    'import { readFileSync } from "node:fs";',
    '// import { no } from "./comment.ts";',
    'const lazy = await import("./lazy.ts");',
  ].join("\n");
  const found = importsOf("sys/x.ts", text).map(({ target, names, lazy, typeOnly }) => {
    return [target, names.join(), ...(lazy ? ["lazy"] : []), ...(typeOnly ? ["type"] : [])];
  });
  t.deepEqual(found, [
    ["sys/a.ts", "A", "type"],
    ["network/b.ts", "B,c"],
    ["koffi", "*"],
    ["@grpc/grpc-js", "g"],
    ["sys/side.ts", "*"],
    ["sys/h.ts", "h"],
    ["sys/i.ts", "*"],
    ["sys/lazy.ts", "*", "lazy"],
  ]);
});

test("a file belongs to the room with the longest path", (t) => {
  t.is(roomOf("shim/config/load.ts")?.path, "shim/config");
  t.is(roomOf("shim/main.ts")?.path, "shim");
  t.is(roomOf("elsewhere/x.ts"), undefined);
});

test("the table itself names only rooms and parts of them, and has no circle", (t) => {
  const paths = rooms.map(({ path }) => path);
  for (const { imports } of rooms) {
    for (const name of imports)
      t.true(name === "*" || paths.some((path) => name === path || name.startsWith(`${path}/`)), name);
  }
  t.deepEqual(findCycles(new Map(rooms.map(({ path, imports }) => [path, new Set(imports)]))), []);
});

test("imports against the table are named", async (t) => {
  const root = project(t, {
    "package.json": '{"dependencies": {"koffi": "1", "left-pad": "1"}}',
    "sys/a.ts": 'import koffi from "koffi";\nimport { b } from "../network/b.ts";\n',
    "network/b.ts": 'import { a } from "../sys/a.ts";\nimport koffi from "koffi";\n',
    "network/b.test.ts": 'import test from "ava";\nimport { c } from "../shim/c.ts";\n',
    "shim/c.ts": 'import { b } from "../network/b.ts";\nimport x from "./x.js";\n',
    "agent/d.ts": 'import { c } from "../shim/c.ts";\nimport type { T } from "../hypervisor/t.ts";\n',
    "lost/e.ts": "",
  });
  t.deepEqual(
    (await problemsOf(importsCheck, root)).sort(),
    [
      "agent/d.ts: agent may not import hypervisor/t.ts",
      "agent/d.ts: agent may not import shim/c.ts",
      "lost/e.ts: lies in no room; move it or add its folder to checks/rooms.ts",
      "network/b.test.ts: network may not import shim/c.ts",
      'network/b.ts: network may not use package "koffi"',
      "network/b.ts: imports go in a circle: network/b.ts -> sys/a.ts -> network/b.ts",
      "network: imports go in a circle: network -> sys -> network",
      'package.json: "ava" is imported but not declared',
      'package.json: dependency "left-pad" is imported nowhere',
      "shim/c.ts: imports shim/x.js, which does not end in .ts",
      "sys/a.ts: sys may not import network/b.ts",
    ].sort(),
  );
});

test("types and lazy imports make circles, too", async (t) => {
  const root = project(t, {
    "sys/kind.ts": 'const one = import("./one.ts");\n',
    "sys/one.ts": 'import type { Kind } from "./kind.ts";\n',
  });
  t.deepEqual(await problemsOf(importsCheck, root), [
    "sys/kind.ts: imports go in a circle: sys/kind.ts -> sys/one.ts -> sys/kind.ts",
  ]);
});

test("a program that must start fast loads no heavy package, except lazily", async (t) => {
  const root = project(t, {
    "package.json": '{"dependencies": {"@grpc/grpc-js": "1"}}',
    "shim/start.ts": 'import { a } from "./a.ts";\nconst serve = () => import("./serve.ts");\n',
    "shim/a.ts": 'import { b } from "./b.ts";\n',
    "shim/b.ts": 'import grpc from "@grpc/grpc-js";\n',
    "shim/serve.ts": 'import grpc from "@grpc/grpc-js";\n',
  });
  t.deepEqual(await problemsOf(importsCheck, root), [
    "shim/start.ts: must start fast, but loads @grpc/grpc-js: shim/start.ts -> shim/a.ts -> shim/b.ts -> @grpc/grpc-js",
  ]);
});

test("long files are named, generated ones and tests are not counted", async (t) => {
  const root = project(t, {
    "sys/ok.ts": "\n".repeat(300),
    "sys/long.ts": "\n".repeat(301),
    "sys/long.test.ts": "\n".repeat(1000),
    "proto/gen/long.ts": "\n".repeat(1000),
  });
  t.deepEqual(await problemsOf(fileSizeCheck, root), [
    "sys/long.ts: 301 lines, more than 300; split it by responsibility",
  ]);
});

test("exports without a user are named", async (t) => {
  const root = project(t, {
    "sys/a.ts": "export const used = 1;\nexport function unused() {}\nexport interface Free {}\n",
    "sys/b.ts": 'import { used } from "./a.ts";\n',
    "sys/all.ts": "export async function one() {}\n",
    "sys/c.ts": 'const all = import("./all.ts");\n',
  });
  t.deepEqual(await problemsOf(exportsCheck, root), [
    'sys/a.ts: exports "unused", which no other file imports',
  ]);
});

test("forbidden calls are named with their line", (t) => {
  const lines = (path: string, text: string): string[] => forbiddenIn(path, text).map(({ file }) => file);
  const text = '// process.kill(1)\nprocess.kill(pid);\nimport type { C } from "node:child_process";\n';
  t.deepEqual(lines("network/x.ts", text), ["network/x.ts:2"]);
  t.deepEqual(lines("sys/process.ts", text), []);
  t.deepEqual(lines("network/x.test.ts", text), []);
  t.deepEqual(lines("network/x.test.ts", "\n\ntest.only('x')"), ["network/x.test.ts:3"]);
  t.deepEqual(lines("shim/x.ts", "const x = y as any; // as any"), ["shim/x.ts:1"]);
});

test("generated files: changed, missing and left over", (t) => {
  const committed = project(t, { "same.ts": "1", "old.ts": "1", "gone.ts": "1" });
  const fresh = project(t, { "same.ts": "1", "old.ts": "2", "more/new.ts": "1" });
  t.deepEqual(
    differences(committed, fresh).map(({ file, text }) => `${file}: ${text.split(";")[0]}`),
    [
      "proto/gen/gone.ts: comes from no .proto file",
      "proto/gen/more/new.ts: is missing",
      "proto/gen/old.ts: is out of date",
    ],
  );
});

test("circles are found once each, with their way", (t) => {
  const graph = new Map([
    ["a", new Set(["b", "c"])],
    ["b", new Set(["c"])],
    ["c", new Set(["d"])],
    ["d", new Set(["b"])],
    ["e", new Set(["a"])],
  ]);
  t.deepEqual(findCycles(graph), [["b", "c", "d", "b"]]);
});

test("links that lead nowhere are named", async (t) => {
  const root = project(t, {
    "README.md": "[a](docs/a.md#part) [b](docs/gone.md) [c](https://example.org/x) [d](#here) ![e](gone.svg)",
    "docs/a.md": "[up](../README.md) [code](../package.json)",
    "node_modules/x/README.md": "[no](gone.md)",
  });
  t.deepEqual(await problemsOf(linksCheck, root), [
    "README.md: links to docs/gone.md, which does not exist",
    "README.md: links to gone.svg, which does not exist",
  ]);
});

test("a key of the configuration that nothing reads is a problem; three ways to read one are known", (t) => {
  const text = `const { path, kernel } = loaded.configuration.hypervisor.qemu;
    if (configuration.runtime.debug) log();
    function limits({ monitor }: Configuration["network"]): void {}
    const stopTimeoutSeconds = runtime.other;`;
  const unread = unreadKeys([{ text }]).map((problem) => problem.text);
  const without = (key: string): boolean => unread.includes(`no code of the product reads "${key}"`);
  for (const key of ["hypervisor.qemu.path", "hypervisor.qemu.kernel", "runtime.debug", "network.monitor"])
    t.false(without(key), key);
  for (const key of ["runtime.stop_timeout_seconds", "factory.path", "hypervisor.qemu.image"])
    t.true(without(key), key);
});
