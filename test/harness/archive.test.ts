import { execFileSync } from "node:child_process";
import test from "ava";
import { tar } from "./archive.ts";

const entries = [
  { path: "bin/", directory: true as const },
  { path: "bin/tool", mode: 0o755, content: Buffer.alloc(513, 1) },
  { path: "bin/alias", link: "tool" },
];

test("tar(1) reads what was written: kind, mode, owner, size, time", (t) => {
  const listing = execFileSync("tar", ["--utc", "-tvf", "-"], { input: tar(entries), encoding: "utf8" });
  t.deepEqual(
    listing
      .trim()
      .split("\n")
      .map((line) => line.replace(/\s+/g, " ")),
    [
      "drwxr-xr-x 0/0 0 1970-01-01 00:00 bin/",
      "-rwxr-xr-x 0/0 513 1970-01-01 00:00 bin/tool",
      "lrw-r--r-- 0/0 0 1970-01-01 00:00 bin/alias -> tool",
    ],
  );
});

test("the same entries give the same bytes, in whole blocks", (t) => {
  t.deepEqual(tar(entries), tar(entries));
  t.is(tar(entries).length % 512, 0);
});
