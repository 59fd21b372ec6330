import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { codeOf } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { readTimeline, startTimeline } from "./timeline.ts";

const directory = mkdtempSync(join(tmpdir(), "tapir-timeline-"));
test.after.always("remove the directory", () => rmSync(directory, { recursive: true }));

test.serial("before there is one", (t) => {
  const error = t.throws(() => readTimeline(directory));
  t.is(codeOf(error), Code.NOT_FOUND);
  t.regex(error?.message ?? "", /a pod has one once it is up/);
});

test.serial("who has it open while it is written again reads all of the one before", (t) => {
  const timeline = startTimeline(Date.now());
  timeline.write(directory);
  const path = join(directory, "timeline.json");
  const before = readFileSync(path, "utf8");
  const file = openSync(path, "r");
  t.teardown(() => closeSync(file));
  timeline.add({ name: "share", startMs: 0, endMs: 1 });
  timeline.write(directory);
  t.is(readFileSync(file, "utf8"), before);
  t.deepEqual(readdirSync(directory), ["timeline.json"]);
});

test.serial("steps come back in order of their starts, a failed one too", async (t) => {
  const origin = Date.now() - 1000;
  const timeline = startTimeline(origin);
  timeline.add({ name: "late", startMs: 5000, endMs: 6000 });
  t.is(await timeline.measure("work", async () => 7), 7);
  await t.throwsAsync(timeline.measure("failing", () => Promise.reject(new Error("no"))));
  timeline.write(directory);
  await timeline.measure("share", async () => undefined);
  timeline.write(directory);
  const { originEpochMs, steps, later } = readTimeline(directory);
  t.deepEqual(
    later.map(({ name }) => name),
    ["share"],
  );
  t.is(originEpochMs, origin);
  t.deepEqual(
    steps.map(({ name }) => name),
    ["work", "failing", "late"],
  );
  t.true((steps[0]?.startMs ?? 0) >= 999);
  t.true(steps.every(({ startMs, endMs }) => endMs >= startMs));
});

test.serial("what is no timeline", (t) => {
  for (const text of [
    "",
    "null",
    "[]",
    "{}",
    '{"originEpochMs":1,"steps":[{}]}',
    '{"originEpochMs":1,"steps":[null]}',
    '{"originEpochMs":1,"steps":[],"later":[1]}',
  ]) {
    writeFileSync(join(directory, "timeline.json"), text);
    t.throws(() => readTimeline(directory), { message: /cannot read .*timeline\.json/ });
  }
});
