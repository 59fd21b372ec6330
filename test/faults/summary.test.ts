import test from "ava";
import { nothingToStrike } from "./cell.ts";
import { FAULTS } from "./faults.ts";
import { OPERATIONS } from "./operations.ts";
import { planText, summaryText } from "./summary.ts";

const [operation] = OPERATIONS;
const quick = FAULTS.find(({ slow }) => slow !== true);
const slow = FAULTS.find((fault) => fault.slow === true);

test("a plan and a summary count cells; one without anything to strike is none", (t) => {
  if (operation === undefined || quick === undefined || slow === undefined) return t.fail();
  const cells = [quick, slow].map((fault) => ({ operation, step: "a", fault }));
  t.is(planText(cells), `2 cells (1 slow): ${operation.name} 2 (1 slow)`);
  const [first, second] = cells.map(nothingToStrike);
  if (first === undefined || second === undefined) return t.fail();
  const green = { ...first, struck: true, times: { prepare: 1000, run: 500 } };
  const red = { ...first, problems: ["x"], times: { prepare: 3000, run: 500 } };
  const lines = summaryText([green, red, second]).split("\n");
  t.regex(lines[0] ?? "", /cells +green +red +s\/cell +prepare +run$/);
  t.regex(lines[1] ?? "", new RegExp(`^${operation.name} +2 +1 +1 +2\\.5 +2\\.0 +0\\.5$`));
});
