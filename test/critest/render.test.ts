import test from "ava";
import type { SpecResult } from "./ginkgo-report.ts";
import { causeOf, renderComparison, renderFailures, renderTable } from "./render.ts";

const ID = "4ef8536d3fc27f7a04769eaf75052b1d8a010988e0de1408cd027e5daafd8d01";
const failed = (name: string, message: string): SpecResult => {
  return { name, state: "failed", seconds: 2, message };
};

test("a cause has no ids, no time and no Go values", (t) => {
  t.is(
    causeOf(`cannot start ${ID}: no\nUnexpected error:\n <*status.Error | 0x1967ef2eebe8>:`),
    "cannot start …: no",
  );
  t.is(causeOf("Nov 21 04:47:18.123: pods differ"), "pods differ");
  t.is(
    causeOf("Expected\n    <string>: 7\nto be empty"),
    "Expected\n          <string>: 7\n      to be empty",
  );
});

test("specs with the same cause stand together, the most frequent first", (t) => {
  const specs = [failed("a", "alone"), failed("b", `no ${ID}`), failed("c", `no ${ID.replaceAll("4", "5")}`)];
  const text = renderFailures("tapir", specs, "x.log");
  t.is(text, "failed with tapir (x.log):\n  b  2.0 s\n  c  2.0 s\n      no …\n  a  2.0 s\n      alone\n\n");
  t.is(renderFailures("tapir", [], "x.log"), "");
});

test("the table has a row for each handler", (t) => {
  const rows = renderTable(new Map([["runc", [failed("a", "")]]]))
    .trim()
    .split("\n");
  t.deepEqual(rows[1]?.trim().split(/\s+/), ["runc", "0", "1", "0", "2", "s"]);
});

test("no difference is said in a sentence", (t) => {
  t.regex(renderComparison("tapir", "runc", { worse: [], leftOut: [], both: [] }), /^every spec that passes/);
  const text = renderComparison("tapir", "runc", {
    worse: [failed("a", "")],
    leftOut: [{ name: "b", reason: "a VM" }],
    both: [],
  });
  t.is(
    text,
    "left out with tapir, pass with runc:\n  b: a VM\n\npass with runc and not with tapir:\n  a\n\n",
  );
});
