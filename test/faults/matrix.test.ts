// Requires root, containerd, CNI plugins, QEMU and what the set-up puts below build/.
// The short version of `npm run test:faults`: which cells it has, choice.ts says.
import test from "ava";
import type { CellResult } from "./cell.ts";
import { shortChoice } from "./choice.ts";
import { drawText, isGreen, isRed } from "./draw.ts";
import { FAULTS } from "./faults.ts";
import { runMatrix } from "./matrix.ts";
import { OPERATIONS } from "./operations.ts";

test("after every fault everything is as it was, and nothing has hung", async (t) => {
  const results: CellResult[] = [];
  await runMatrix({
    operations: OPERATIONS,
    faults: FAULTS,
    choose: shortChoice,
    lanes: 4,
    busy: 2,
    skip: () => false,
    onResult: (result) => results.push(result),
  });
  t.log(drawText(results));
  t.deepEqual(results.filter(isRed), []);
  // Nothing chosen, or nothing to strike, would be green as well.
  const quick = FAULTS.filter(({ slow }) => slow !== true).map(({ name }) => name);
  t.deepEqual([...new Set(results.filter(isGreen).map(({ fault }) => fault))].toSorted(), quick.toSorted());
});
