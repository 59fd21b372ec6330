import { readFileSync } from "node:fs";
import test from "ava";
import { readSkips, skipsOf, staleSkips } from "./skip-list.ts";

test("comments and empty lines are nothing; a line has a handler, a pattern with spaces, and a reason", (t) => {
  const skips = readSkips("# why\n\nall | a \\(b\\) c | needs a registry\ntapir | ^x$ | a VM\n", "skip.txt");
  t.deepEqual(
    skips.map(({ handler, pattern, reason }) => [handler, pattern.source, reason]),
    [
      ["all", "a \\(b\\) c", "needs a registry"],
      ["tapir", "^x$", "a VM"],
    ],
  );
  t.is(skipsOf(skips, "runc").length, 1);
  t.is(skipsOf(skips, "tapir").length, 2);
});

test("a line without a reason is refused by its number", (t) => {
  for (const line of ["all | x", "all | x | ", " | x | why", "all |  | why", "all | x | why | more"]) {
    t.throws(() => readSkips(`# first\n${line}\n`, "skip.txt"), { message: /skip\.txt:2/ }, line);
  }
});

test("the list in use can be read", (t) => {
  t.notThrows(() => readSkips(readFileSync(`${import.meta.dirname}/skip.txt`, "utf8"), "skip.txt"));
});

test("a pattern that no spec has is stale", (t) => {
  const skips = readSkips("all | pod .* runs | why\nall | pods | why\n", "skip.txt");
  t.deepEqual(staleSkips(skips, [{ name: "a pod that runs" }]), skips.slice(1));
});
