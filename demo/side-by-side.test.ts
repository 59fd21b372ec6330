import test from "ava";
import { sideBySide } from "./side-by-side.ts";

test("two texts of different heights, lines of different lengths", (t) => {
  t.is(sideBySide(["a", "long"], ["1", "22", "333"], " | "), "a    | 1\nlong | 22\n     | 333\n");
  t.is(sideBySide(["a", "b"], ["1"], "  "), "a  1\nb\n");
});
