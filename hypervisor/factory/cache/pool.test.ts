import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import type { Clone } from "./clone.ts";
import { openPool, type PoolSettings } from "./pool.ts";

const PAUSES = { taken: 20, shortage: 20, failure: 20, failureMaximum: 40 };

interface FakeClone extends Clone {
  readonly removed: () => boolean;
  readonly end: () => void;
}

function fakeClone(name: number): FakeClone {
  const exit = Promise.withResolvers<void>();
  let removed = false;
  return {
    directory: `/run/none/.cache/${name}`,
    exited: exit.promise,
    offer: () => {
      throw new Error("not offered here");
    },
    cede: () => undefined,
    remove: async () => {
      removed = true;
    },
    removed: () => removed,
    end: exit.resolve,
  };
}

/** A pool of two with everything it makes and says. */
function fakePool(change: Partial<PoolSettings> = {}) {
  const made: FakeClone[] = [];
  const said: string[] = [];
  let making = 0;
  let together = 0;
  const pool = openPool({
    size: 2,
    key: () => "a",
    makeMs: 5000,
    pauses: PAUSES,
    shortage: () => undefined,
    report: (message) => void said.push(message),
    make: async () => {
      together = Math.max(together, ++making);
      await sleep(2);
      making -= 1;
      const clone = fakeClone(made.length);
      made.push(clone);
      return clone;
    },
    ...change,
  });
  return { pool, made, said, together: () => together };
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 30_000;
  while (!condition() && performance.now() < end) await sleep(2);
  if (!condition()) throw new Error("it did not come to be");
}

test("it fills, one at a time, and not beyond its size", async (t) => {
  const { pool, made, together } = fakePool();
  await until(() => pool.ready === 2);
  await sleep(30);
  t.is(made.length, 2);
  t.is(together(), 1);
  await pool.close();
  t.true(made.every((clone) => clone.removed()));
});

test("what is taken is the taker's, and replaced after a rest", async (t) => {
  const { pool, made } = fakePool({ pauses: { ...PAUSES, taken: 1000 } });
  await until(() => pool.ready === 2);
  const taken = [pool.take("a"), pool.take("a")];
  t.is(new Set(taken).size, 2);
  t.is(pool.take("a"), undefined);
  await sleep(5);
  t.is(made.length, 2);
  await until(() => pool.ready === 2);
  await pool.close();
  t.deepEqual(
    made.map((clone) => clone.removed()),
    [false, false, true, true],
  );
});

test("a clone of another key is not given; stale ones go", async (t) => {
  let key = "a";
  const { pool, made } = fakePool({ key: () => key });
  await until(() => pool.ready === 2);
  key = "b";
  t.deepEqual(pool.readyByKey(), { a: 2 });
  t.is(pool.take("b"), undefined);
  await until(() => made.length === 4 && pool.ready === 2);
  t.true(made[0]?.removed() && made[1]?.removed());
  t.truthy(pool.take("b"));
  await pool.close();
});

test("a clone that ends by itself is removed and replaced", async (t) => {
  const { pool, made } = fakePool();
  await until(() => pool.ready === 2);
  made[0]?.end();
  await until(() => made.length === 3 && pool.ready === 2);
  t.true(made[0]?.removed());
  await pool.close();
});

test("none is made while there is no room; that is said once", async (t) => {
  let shortage: string | undefined = "too full";
  const { pool, made, said } = fakePool({ shortage: () => shortage });
  await sleep(70);
  t.is(made.length, 0);
  t.is(said.filter((line) => line.includes("too full")).length, 1);
  t.is(pool.trouble, "too full");
  shortage = undefined;
  await until(() => pool.ready === 2);
  await pool.close();
});

test("failures are tried again after pauses", async (t) => {
  let attempts = 0;
  const { pool, said } = fakePool({
    size: 1,
    make: async () => {
      attempts += 1;
      if (attempts < 3) throw new Error("not today");
      return fakeClone(attempts);
    },
  });
  await until(() => pool.ready === 1);
  t.is(attempts, 3);
  t.is(pool.trouble, undefined);
  t.is(said.filter((line) => line === "cannot make a clone").length, 2);
  await pool.close();
});

test("closing ends a making that hangs", async (t) => {
  const { pool } = fakePool({ make: (deadline) => deadline.race(new Promise<Clone>(() => undefined)) });
  await sleep(5);
  await t.notThrowsAsync(pool.close());
});
