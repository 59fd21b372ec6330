import test from "ava";
import { median } from "./median.ts";

test("the middle of an odd count, the mean of the two middle ones of an even count", (t) => {
  t.is(median([9, 1, 5]), 5);
  t.is(median([4, 1, 3, 2]), 2.5);
  t.is(median([7]), 7);
  t.is(median([]), Number.NaN);
});

test("outliers and the order of the runs do not matter", (t) => {
  t.is(median([1000, 2, 1, 3, 2]), 2);
});
