import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { codeOf } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { runFirstHooks, runLastHooks } from "./hooks.ts";
import type { OciHook } from "./oci.ts";

const STATE = { id: "web", status: "creating", pid: 4242, bundle: "/b", annotations: { a: "1" } } as const;
const NONE = { prestart: [], createRuntime: [], poststop: [] };
const soon = () => deadlineIn(60_000, "test");

/** A shell; its name and words come first. */
const hook = (script: string, more: Partial<OciHook> = {}): OciHook => ({
  path: "/bin/sh",
  args: ["hook", "-c", script],
  env: ["PATH=/usr/bin:/bin", "WORD=a=b"],
  timeout: 0,
  ...more,
});

function place(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), "hooks-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return directory;
}

test("hooks run in order, with the container's state, their own environment and no other", async (t) => {
  const file = join(place(t), "out");
  const hooks = {
    ...NONE,
    createRuntime: [hook(`echo second $WORD $HOME >> ${file}`)],
    prestart: [hook(`cat > ${file}; echo >> ${file}`)],
    poststop: [hook(`echo never >> ${file}`)],
  };
  await runFirstHooks(hooks, STATE, soon());
  const [state = "", ...rest] = readFileSync(file, "utf8").split("\n");
  t.deepEqual(JSON.parse(state), { ociVersion: "1.0.2", ...STATE });
  t.deepEqual(rest, ["second a=b", ""]);
});

test("a hook that fails, hangs or is not there ends it, and says so", async (t) => {
  const after = join(place(t), "after");
  const attempt = (first: OciHook) =>
    t.throwsAsync(runFirstHooks({ ...NONE, createRuntime: [first, hook(`echo > ${after}`)] }, STATE, soon()));
  const failed = await attempt(hook("echo no bridge >&2; exit 3"));
  t.regex(failed.message, /cannot run the createRuntime hook \/bin\/sh: .*ended with 3 and said: no bridge/);
  t.is(codeOf(await attempt(hook("sleep 1000 & wait", { timeout: 1 }))), Code.DEADLINE_EXCEEDED);
  t.is(codeOf(await attempt(hook("", { path: "/no/such/hook" }))), Code.NOT_FOUND);
  t.regex((await attempt(hook("kill -9 $$"))).message, /ended with 137/);
  t.false(existsSync(after));
});

test("what runs afterwards runs whatever the others do", async (t) => {
  const file = join(place(t), "out");
  const poststop = [hook("exit 1"), hook(`cat > ${file}`), hook("exit 2")];
  const failures = await runLastHooks({ ...NONE, poststop }, { ...STATE, status: "stopped", pid: 0 }, soon());
  t.is(failures.length, 2);
  t.like(JSON.parse(readFileSync(file, "utf8")), { status: "stopped", pid: 0 });
});
