import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { formatLine, log, logTo } from "./log.ts";

const directory = mkdtempSync(join(tmpdir(), "tapir-log-"));
test.after.always(() => rmSync(directory, { recursive: true }));

test.serial("one line, whatever the values hold", (t) => {
  const line = formatLine(1.5, "call failed", {
    method: "a\nb",
    count: 3,
    missing: undefined,
    bad: "\u001b[2J",
  });
  t.is(line, '[    1.500000] tapir-agent: call failed method="a\\nb" count=3 bad="\\u001b[2J"\n');
});

test.serial("lines go to the console that was opened last", (t) => {
  const path = join(directory, "console");
  writeFileSync(path, "");
  log("nowhere");
  logTo(path);
  log("somewhere", { a: 1 });
  t.regex(readFileSync(path, "utf8"), /^\[ *\d+\.\d{6}\] tapir-agent: somewhere a=1\n$/);
});

test.serial("a console that nobody reads or that is not there does not stop anything", (t) => {
  const fifo = join(directory, "fifo");
  execFileSync("mkfifo", [fifo]);
  logTo(fifo);
  t.notThrows(() => log("x".repeat(100_000)));
  logTo(join(directory, "none"));
  t.notThrows(() => log("x"));
});
