import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { formatLine, openLog } from "./log.ts";

function fifo(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), "shim-log-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  execFileSync("mkfifo", [join(directory, "log")]);
  return join(directory, "log");
}

test("a line reads as logrus writes it", (t) => {
  const line = formatLine(
    "warn",
    "the VM ended",
    { id: "abc", error: new Error('no "x"'), none: undefined },
    new Date(0),
  );
  t.is(line, 'time="1970-01-01T00:00:00.000Z" level=warning msg="the VM ended" id=abc error="no \\"x\\""\n');
});

test("one entry is one line, whatever is in it", (t) => {
  t.is(formatLine("info", "a\nb", { key: "c\r\nd" }, new Date(0)).trimEnd().split("\n").length, 1);
});

test("without a fifo or a reader nothing happens; a reader that comes later gets the next line", (t) => {
  openLog("/nonexistent/log", { debug: true, fields: {} }).info("lost");
  const path = fifo(t);
  const log = openLog(path, { debug: false, fields: { id: "x" } });
  log.info("lost");
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  log.debug("not asked for");
  log.info("found");
  const buffer = Buffer.alloc(4096);
  t.regex(buffer.toString("utf8", 0, readSync(reader, buffer)), /^time="[^"]+" level=info msg=found id=x\n$/);
  closeSync(reader);
  // The reader is gone (EPIPE); the next one gets lines again.
  log.info("lost");
  const next = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  log.error("again");
  t.regex(buffer.toString("utf8", 0, readSync(next, buffer)), /msg=again/);
  closeSync(next);
});

test("debug lines are written from when they are asked for", (t) => {
  const path = join(mkdtempSync(join(tmpdir(), "shim-log-")), "log");
  t.teardown(() => rmSync(join(path, ".."), { recursive: true }));
  writeFileSync(path, "");
  const log = openLog(path, { debug: false, fields: {} });
  log.debug("before");
  log.showDebug();
  log.debug("after", { step: "network.tap" });
  t.regex(readFileSync(path, "utf8"), /^time="[^"]+" level=debug msg=after step=network\.tap\n$/);
});

test("a reader that does not read never blocks the writer", (t) => {
  const path = fifo(t);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const log = openLog(path, { debug: false, fields: {} });
  // More than a pipe holds.
  for (let index = 0; index < 5000; index++) log.info("x".repeat(100));
  t.pass("a writer that waits would never get here");
  closeSync(reader);
});

test("a plain file works, too", (t) => {
  const path = join(mkdtempSync(join(tmpdir(), "shim-log-")), "log");
  t.teardown(() => rmSync(join(path, ".."), { recursive: true }));
  writeFileSync(path, "");
  openLog(path, { debug: true, fields: {} }).debug("here");
  t.regex(readFileSync(path, "utf8"), /level=debug msg=here/);
});

test("a flood is bounded, and what is missing is counted", async (t) => {
  const path = join(mkdtempSync(join(tmpdir(), "shim-log-")), "log");
  t.teardown(() => rmSync(join(path, ".."), { recursive: true }));
  writeFileSync(path, "");
  const log = openLog(path, { debug: false, fields: {} });
  const lines = 100_000;
  for (let index = 0; index < lines; index++) log.warn("as the guest likes", { said: "x".repeat(100) });
  const size = readFileSync(path).length;
  t.true(size > 400_000 && size < 1 << 20, `${size}`);
  await new Promise((resolve) => setTimeout(resolve, 100));
  log.info("after it");
  const text = readFileSync(path, "utf8").trimEnd().split("\n");
  t.regex(text.at(-1) ?? "", /msg="after it"/);
  t.regex(text.at(-2) ?? "", /msg="lines left out" count=\d+/);
  const gaps = text.flatMap((line) => /msg="lines left out" count=(\d+)/.exec(line)?.[1] ?? []);
  const missing = gaps.reduce((sum, count) => sum + Number(count), 0);
  t.is(text.length - 1 - gaps.length + missing, lines);
});

test("a line of megabytes is cut and stays one line", (t) => {
  const path = join(mkdtempSync(join(tmpdir(), "shim-log-")), "log");
  t.teardown(() => rmSync(join(path, ".."), { recursive: true }));
  writeFileSync(path, "");
  openLog(path, { debug: false, fields: {} }).error("x", { error: new Error("a\n".repeat(1 << 20)) });
  const text = readFileSync(path, "utf8");
  t.true(text.length < 40_000 && text.endsWith("\n"), `${text.length}`);
  t.is(text.trimEnd().split("\n").length, 1);
});
