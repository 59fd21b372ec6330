import test from "ava";
import { planRules } from "./guest-rule.ts";

const rule = (family: 4 | 6, priority: number, table: number, more: object = {}) => ({
  family,
  priority,
  source: "",
  destination: "",
  tos: 0,
  table,
  action: 1,
  mark: 0,
  markMask: 0,
  inputInterface: "",
  outputInterface: "",
  invert: false,
  gotoPriority: 0,
  ipProtocol: 0,
  protocol: 2,
  ...more,
});
const four = [rule(4, 0, 255), rule(4, 32_766, 254), rule(4, 32_767, 253)];
const six = [rule(6, 0, 255), rule(6, 32_766, 254)];

test("rules that every namespace has are not spoken of", (t) => {
  t.deepEqual(planRules([...four, ...six]), []);
  t.deepEqual(planRules([]), [], "a kernel without rules");
});

test("one more, or one less, and the whole family goes, in its order", (t) => {
  const more = rule(4, 50, 100, { source: "10.0.0.0/8", protocol: 3 });
  const changed = [...four.slice(0, 1), more, ...four.slice(1)];
  t.deepEqual(planRules([...changed, ...six]), changed);
  t.deepEqual(planRules([...four, ...six.slice(1)]), six.slice(1));
  const moved = [rule(4, 100, 255), ...four.slice(1)];
  t.deepEqual(planRules([...moved, ...six]), moved, "the local table asked later");
});
