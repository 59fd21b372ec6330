import test from "ava";
import { interleave, medianOf, minimumOf, valuesOf } from "./measure.ts";

const limits = { rounds: 3, budgetMs: 10_000 };

test("arms take turns; medians and minima are per arm and value", async (t) => {
  const order: string[] = [];
  const arm = (name: string, values: readonly number[]) => ({
    name,
    run: async (round: number) => {
      order.push(`${name}${round}`);
      return { ms: values[round - 1] ?? 0 };
    },
  });
  const outcome = await interleave([arm("a", [5, 1, 9]), arm("b", [2, 2, 3])], limits);
  t.deepEqual(order, ["a1", "b1", "a2", "b2", "a3", "b3"]);
  t.is(medianOf(outcome, "a", "ms"), 5);
  t.is(minimumOf(outcome, "a", "ms"), 1);
  t.deepEqual(valuesOf(outcome, "b", "ms"), [2, 2, 3]);
  t.is(medianOf(outcome, "none", "ms"), Number.NaN);
  t.is(minimumOf(outcome, "a", "other"), Number.NaN);
});

test("a run that fails leaves a gap and a sentence", async (t) => {
  const outcome = await interleave(
    [
      {
        name: "a",
        run: async (round) => {
          if (round === 2) throw new Error("no luck");
          return { ms: round };
        },
      },
    ],
    limits,
  );
  t.deepEqual(valuesOf(outcome, "a", "ms"), [1, 3]);
  t.deepEqual(outcome.failures, ["a, round 2: no luck"]);
  t.deepEqual(outcome.rounds, { done: 3, wanted: 3 });
});

test("no round begins when the time is up", async (t) => {
  const outcome = await interleave([{ name: "a", run: async () => ({ ms: 1 }) }], {
    rounds: 5,
    budgetMs: -1,
  });
  t.deepEqual(valuesOf(outcome, "a", "ms"), []);
  t.deepEqual(outcome.rounds, { done: 0, wanted: 5 });
});
