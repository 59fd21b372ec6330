import test from "ava";
import { endOf, waterfall } from "./waterfall.ts";

const steps = [
  { name: "shim start", startMs: 0, endMs: 50 },
  { name: "VM start", startMs: 50, endMs: 75.5 },
  { name: "guest", startMs: 60, endMs: 200 },
];

test("bars stand where the steps ran, to an eighth of a column", (t) => {
  // 20 columns of bars for 200 ms: 10 ms each.
  t.is(
    waterfall(steps, 28 + 20),
    `STEP         START      MS
shim start     0.0    50.0  █████
VM start      50.0    25.5       ██▌
guest         60.0     140        ██████████████
total          0.0     200
`,
  );
});

test("a scale of its own, and each step's share of a time", (t) => {
  // 20 columns of bars for 400 ms.
  t.is(
    waterfall(steps, 35 + 20, { scaleMs: 400, shareOfMs: 250 }),
    `STEP         START      MS  SHARE
shim start     0.0    50.0   20 %  ██▌
VM start      50.0    25.5   10 %    █▊
guest         60.0     140   56 %     ███████
total          0.0     200   80 %
`,
  );
});

test("the shortest step is to be seen, also the one at the very end", (t) => {
  const [, , speck, last] = waterfall(
    [
      { name: "all", startMs: 0, endMs: 1000 },
      { name: "speck", startMs: 500, endMs: 500 },
      { name: "last", startMs: 1000, endMs: 1000 },
    ],
    23 + 10,
  ).split("\n");
  t.is(speck, "speck     500     0.0       ▏");
  t.is(last, "last     1000     0.0           ▏");
});

test("a terminal of any width gets bars; no line is wider than it when there is room", (t) => {
  for (const columns of [0, 20, 40, 80, 81, 133, 1000]) {
    const lines = waterfall(steps, columns).split("\n");
    t.true(lines[1]?.includes("█"));
    if (columns >= 40) t.true(Math.max(...lines.map((line) => line.length)) <= columns);
  }
});

test("nothing happened, or took no time", (t) => {
  t.is(endOf([]), 0);
  t.is(waterfall([], 80), "STEP    START      MS\ntotal     0.0     0.0\n");
  t.notThrows(() => waterfall([{ name: "a", startMs: 0, endMs: 0 }], 80));
  t.notThrows(() => waterfall([{ name: "before the origin", startMs: -5, endMs: -1 }], 80));
});
