import test from "ava";
import { readFailures } from "./failures.ts";

const files = ["sys/ledger.test.ts", "test/pod/ledger.test.ts", "sys/other.test.ts"];

const output = `
  ✔ sys › ledger › good
  ✘ [fail]: sys › ledger › replay: twice what is left
    ℹ a line of the test's log
  ✔ sys › other › good (1.2s)

  Unhandled rejection in sys/other.test.ts

  Error: late

  ✔ sys › other › fine
  ✘ [fail]: pod › ledger › replay Error thrown in test
  ✘ sys/other.test.ts exited with a non-zero exit code: 1
  ─

  sys › ledger › replay: twice
  sys/ledger.test.ts:7

   7: t.is(left, 0, "what is left");

  what is left

  Difference (- actual, + expected):

  - 1
  + 0



  pod › ledger › replay

  Error thrown in test:

  Error {
    message: 'pod',
  }

  ─

  2 tests failed
  1 unhandled rejection
`;

test("each failed test is found with its file and its reason, and what failed beside a test", (t) => {
  const failures = readFailures(output.split("\n"), files);
  t.deepEqual(
    failures.map(({ title, file }) => [title, file]),
    [
      ["sys › ledger › replay: twice", "sys/ledger.test.ts"],
      ["Unhandled rejection in sys/other.test.ts", "sys/other.test.ts"],
      ["pod › ledger › replay", "test/pod/ledger.test.ts"],
      ["sys/other.test.ts exited with a non-zero exit code: 1", "sys/other.test.ts"],
    ],
  );
  const [twice, rejection, pod, ended] = failures.map(({ text }) => text);
  t.is(twice?.[0], "    ℹ a line of the test's log");
  t.is(twice?.at(-1), "  + 0");
  t.deepEqual(rejection, ["  Error: late"]);
  t.is(pod?.at(-1), "  }");
  t.deepEqual(ended, []);
});

test("a report that broke off still names the tests", (t) => {
  const cut = output.split("\n").slice(0, 4);
  t.deepEqual(
    readFailures(cut, files).map(({ title }) => title),
    ["sys › ledger › replay: twice what is left"],
  );
  t.deepEqual(readFailures([], files), []);
});
