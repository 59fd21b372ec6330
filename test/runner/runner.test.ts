import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "ava";
import { runAva } from "./ava.ts";
import { countAva, readAvaLine } from "./ava-output.ts";
import { type PhaseResult, renderSummary } from "./report.ts";
import { select } from "./selection.ts";

test("lines of ava's report are read", (t) => {
  t.deepEqual(readAvaLine("  ✔ a › b (c)"), { kind: "passed", title: "a › b (c)", durationMs: 0 });
  t.deepEqual(readAvaLine("  ✔ slow (301ms)"), { kind: "passed", title: "slow", durationMs: 301 });
  t.deepEqual(readAvaLine("  ✔ very (1m 3.5s)"), { kind: "passed", title: "very", durationMs: 63_500 });
  t.deepEqual(readAvaLine("  ✘ [fail]: x › bad"), { kind: "failed", title: "x › bad" });
  t.is(readAvaLine("  ✘ a.test.ts exited with a non-zero exit code: 3").kind, "failed");
  t.is(readAvaLine("  - [skip] later").kind, "skipped");
  t.is(readAvaLine("    ℹ hello").kind, "other");
  t.is(readAvaLine("✔ printed by a test").kind, "other");
});

test("the exit code has the last word", (t) => {
  const good = readAvaLine("  ✔ a");
  const bad = readAvaLine("  ✘ [fail]: b");
  t.deepEqual(countAva([good, good], 0), { passed: 2, failed: 0, skipped: 0 });
  t.deepEqual(countAva([good, bad], 1), { passed: 1, failed: 1, skipped: 0 });
  t.is(countAva([good], 1).failed, 1);
  t.is(countAva([good], null).failed, 1);
  t.is(countAva([], 0).failed, 1);
});

const paths = ["a/x.ts", "a/x.test.ts", "a/b/y.test.ts", "test/pod/z.test.ts", "test/runner/r.test.ts"];

test("everything, a part, a file, a folder", (t) => {
  const unit = ["a/x.test.ts", "a/b/y.test.ts", "test/runner/r.test.ts"];
  const none = { demo: false, checks: false, unit: [], integration: [], critest: false };
  const integration = ["test/pod/z.test.ts"];
  t.deepEqual(select([], paths), { demo: false, checks: true, unit, integration, critest: true });
  t.deepEqual(select(["unit"], paths), { ...none, unit });
  t.deepEqual(select(["demo", "checks"], paths), { ...none, demo: true, checks: true });
  t.deepEqual(select(["critest"], paths), { ...none, critest: true });
  t.deepEqual(select(["./a/b/", "a/b/y.test.ts", "test/pod"], paths), {
    ...none,
    unit: ["a/b/y.test.ts"],
    integration,
  });
  t.throws(() => select(["a/x.ts"], paths), { message: /no test is called "a\/x.ts"/ });
});

test("the summary ends with the count", (t) => {
  const phase: PhaseResult = {
    name: "unit",
    passed: 2,
    failed: 1,
    skipped: 0,
    failures: [],
    durationMs: 1500,
    slow: [],
  };
  const slow = [
    { title: "quick", durationMs: 10 },
    { title: "slow", durationMs: 2000 },
  ];
  const lines = renderSummary([phase, { ...phase, name: "more", failed: 0, slow }]).split("\n");
  t.is(lines.at(-2), "4 passed, 1 failed");
  t.true(lines.includes("     2.0 s  slow"));
  t.false(lines.some((line) => line.includes("quick")));
});

test("what failed comes after the phases, with the reason", (t) => {
  const text = Array.from({ length: 30 }, (_, at) => `line ${at}`);
  const failures = [
    { title: "a › b", file: "a.test.ts", text },
    { title: "types", file: undefined, text: [] },
  ];
  const phase: PhaseResult = {
    name: "unit",
    passed: 2,
    failed: 2,
    skipped: 0,
    failures,
    durationMs: 1500,
    slow: [],
  };
  const lines = renderSummary([phase]).split("\n");
  const at = lines.indexOf("failures");
  t.true(at > lines.indexOf("phases"));
  t.deepEqual(lines.slice(at + 1, at + 4), ["  ✘ a › b", "    a.test.ts", "      line 0"]);
  t.true(lines.includes("      line 24"));
  t.false(lines.includes("      line 25"));
  t.true(lines.includes("  ✘ types"));
  t.is(lines.at(-2), "2 passed, 2 failed");
});

test("a real ava: passing, failing, crashing and hanging files are all counted", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "tapir-runner-"));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const modules = join(dirname(dirname(import.meta.dirname)), "node_modules");
  symlinkSync(modules, join(root, "node_modules"));
  // ava looks for its configuration up to the next repository.
  mkdirSync(join(root, ".git"));
  mkdirSync(join(root, "x"));
  const files = {
    "package.json":
      '{"type": "module", "ava": {"extensions": ["ts"], "files": ["**/*.test.ts"], "workerThreads": false}}',
    "x/good.test.ts": 'import test from "ava";\ntest("good", (t) => t.pass());\n',
    "x/bad.test.ts":
      'import test from "ava";\ntest("bad", (t) => t.is(1, 2));\ntest("fine", (t) => t.pass());\n',
    "x/crash.test.ts": 'import test from "ava";\nimport "./missing.ts";\ntest("never", (t) => t.pass());\n',
    "x/hang.test.ts":
      'import test from "ava";\ntest("hang", () => new Promise((r) => setTimeout(r, 60000)));\n',
    "x/empty.test.ts": "export {};\n",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text);
  const run = (names: readonly string[], timeout = "60s") =>
    runAva({ root, files: names.map((name) => `x/${name}.test.ts`), options: [`--timeout=${timeout}`] });
  const [good, faulty, hung] = await Promise.all([
    run(["good"]),
    run(["good", "bad", "crash", "empty"]),
    run(["hang"], "3s"),
  ]);
  t.deepEqual([good.passed, good.failed], [1, 0], good.output);
  t.is(faulty.passed, 2, faulty.output);
  t.is(faulty.failed, 3, faulty.output);
  // On a busy machine it has perhaps not begun: it is named all the same.
  t.deepEqual([hung.passed, hung.failed], [0, 1], hung.output);
  t.regex(hung.failures[0]?.text.join("\n") ?? "", /x\/hang\.test\.ts/);
  t.regex(faulty.output, /missing\.ts/);
  t.deepEqual(good.failures, []);
  const seen = faulty.failures.map(({ title, file }) => `${file?.slice(2)} ${title}`).sort();
  t.is(seen.length, 4, "the exception and the end of the worker are told both");
  t.like(seen, {
    0: "bad.test.ts bad › bad",
    1: "crash.test.ts Uncaught exception in x/crash.test.ts",
    2: "crash.test.ts x/crash.test.ts exited with a non-zero exit code: 1",
    3: 'empty.test.ts No tests found in x/empty.test.ts, make sure to import "ava" at the top of your test file',
  });
  const reason = (title: RegExp) =>
    faulty.failures.find((one) => title.test(one.title))?.text.join("\n") ?? "";
  t.regex(reason(/bad$/), /- 1\n {2}\+ 2/);
  t.regex(reason(/^Uncaught/), /Cannot find module .*missing\.ts/);
});
