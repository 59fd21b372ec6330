import test from "ava";
import { slopeOf } from "./slope.ts";

test("slopes", (t) => {
  t.is(slopeOf([5, 5, 5, 5]), 0);
  t.is(slopeOf([1, 3, 5, 7]), 2);
  t.is(slopeOf([7, 5, 3, 1]), -2);
  t.is(slopeOf([3]), 0);
  t.true(Math.abs(slopeOf([0, 9, 0, 9, 0, 9])) < 2);
});
