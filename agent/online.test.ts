import test from "ava";
import { countList } from "./online.ts";

test("a list of CPUs (cpuset(7), list format)", (t) => {
  t.is(countList("0\n"), 1);
  t.is(countList("0-3"), 4);
  t.is(countList("0-2,4,6-7\n"), 6);
  t.is(countList("\n"), 0);
});
