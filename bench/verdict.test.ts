import test from "ava";
import { faultsOf } from "./verdict.ts";

test("a result without failures and with all of its rounds is good", (t) => {
  t.deepEqual(faultsOf([{ failures: [], rounds: { done: 10, wanted: 10 } }]), []);
});

test("failures, rounds that were cut, and too few rounds are told", (t) => {
  const good = { failures: [], rounds: { done: 15, wanted: 15 } };
  const cut = { failures: ["cold, round 3: no"], rounds: { done: 12, wanted: 15 } };
  t.deepEqual(faultsOf([good, cut]), ["cold, round 3: no", "time was up after 12 of 15 rounds"]);
  t.deepEqual(faultsOf([{ failures: [], rounds: { done: 3, wanted: 3 } }]), [
    "3 rounds, fewer than the 10 that a median needs",
  ]);
});
