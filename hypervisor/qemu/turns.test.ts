import { setTimeout } from "node:timers/promises";
import test from "ava";
import { createTurns } from "./turns.ts";

test("jobs on one key take turns, also after a failure; other keys do not wait", async (t) => {
  const inTurn = createTurns();
  const order: string[] = [];
  const job = (name: string, milliseconds: number) => async (): Promise<string> => {
    order.push(`${name} begins`);
    await setTimeout(milliseconds);
    order.push(`${name} ends`);
    if (name === "a1") throw new Error("a1 failed");
    return name;
  };
  const jobs = [
    inTurn("a", job("a1", 40)),
    inTurn("a", job("a2", 1)),
    inTurn("a", job("a3", 1)),
    inTurn("b", job("b1", 1)),
  ];
  const results = await Promise.allSettled(jobs);
  t.deepEqual(order, [
    ...["a1 begins", "b1 begins", "b1 ends", "a1 ends"],
    ...["a2 begins", "a2 ends", "a3 begins", "a3 ends"],
  ]);
  t.deepEqual(
    results.map(({ status }) => status),
    ["rejected", "fulfilled", "fulfilled", "fulfilled"],
  );
});
