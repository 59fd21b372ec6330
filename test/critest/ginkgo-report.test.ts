import test from "ava";
import { readGinkgoReport } from "./ginkgo-report.ts";

const it = (text: string, state: string, more: object = {}) => {
  return {
    ContainerHierarchyTexts: ["[k8s.io] Pod", "runs"],
    LeafNodeType: "It",
    LeafNodeText: text,
    State: state,
    RunTime: 1_500_000_000,
    ...more,
  };
};
const suiteNode = (type: string, state: string) => {
  return it("", state, {
    ContainerHierarchyTexts: null,
    LeafNodeType: type,
    Failure: { Message: "no socket\n" },
  });
};
const read = (...reports: object[]) => readGinkgoReport(JSON.stringify([{ SpecReports: reports }])).specs;

test("a spec has its whole name, its time and its reason", (t) => {
  t.deepEqual(read(it("well", "failed", { Failure: { Message: " Expected\n 1\n" } })), [
    { name: "[k8s.io] Pod runs well", state: "failed", seconds: 1.5, message: "Expected\n 1" },
  ]);
});

test("every state but passed and skipped is a failure", (t) => {
  const states = ["passed", "skipped", "pending", "failed", "panicked", "timedout", "interrupted", "aborted"];
  const results = read(...states.map((state, index) => it(`${index}`, state)));
  t.deepEqual(
    results.map(({ state }) => state),
    ["passed", "skipped", "skipped", "failed", "failed", "failed", "failed", "failed"],
  );
});

test("a spec that stood still failed, whatever the suite says", (t) => {
  const [still, fine] = read(
    it("still", "passed", { ProgressReports: [{ CurrentStepText: "stop PodSandbox" }] }),
    it("well", "passed", { ProgressReports: null }),
  );
  t.like(still, { state: "failed", message: "it stood still at: stop PodSandbox" });
  t.is(fine?.state, "passed");
});

test("benchmarks are left out, and the suite's set-up unless it failed", (t) => {
  const results = read(
    it("benchmark about start", "skipped"),
    suiteNode("BeforeSuite", "passed"),
    suiteNode("BeforeSuite", "failed"),
    it("x", "passed"),
  );
  t.deepEqual(
    results.map(({ name, state }) => [name, state]),
    [
      ["[k8s.io] Pod runs x", "passed"],
      ["BeforeSuite", "failed"],
    ],
  );
});

test("a report without specs is empty; a suite that broke off says why", (t) => {
  t.deepEqual(readGinkgoReport('[{"SpecReports":null}]'), { specs: [], broken: "" });
  const report = '[{"SpecReports":[],"SpecialSuiteFailureReasons":["Suite Timeout Elapsed"]}]';
  t.is(readGinkgoReport(report).broken, "Suite Timeout Elapsed");
});
