import test from "ava";
import { renames } from "./rename.ts";

/** Applies the steps as the kernel would: a taken name is an error. */
function apply(links: Record<number, string>, wanted: Record<number, string>): Record<number, string> {
  const entries = Object.entries(links).map(([index, name]) => ({ index: Number(index), name }));
  const goal = new Map(Object.entries(wanted).map(([index, name]) => [Number(index), name]));
  const now: Record<number, string> = { ...links };
  for (const { index, from, to } of renames(entries, goal)) {
    if (now[index] !== from) throw new Error(`link ${index} is ${now[index]}, not ${from}`);
    if (Object.values(now).includes(to)) throw new Error(`EEXIST ${to}`);
    if (to.length > 15) throw new Error(`too long: ${to}`);
    now[index] = to;
  }
  return now;
}

test("names that are right stay", (t) => {
  t.deepEqual(renames([{ index: 2, name: "eth0" }], new Map([[2, "eth0"]])), []);
});

test("a free name is taken at once", (t) => {
  t.deepEqual(apply({ 1: "lo", 2: "eth0" }, { 2: "net1" }), { 1: "lo", 2: "net1" });
});

test("names are swapped and rotated", (t) => {
  t.deepEqual(apply({ 2: "eth0", 3: "eth1" }, { 2: "eth1", 3: "eth0" }), { 2: "eth1", 3: "eth0" });
  t.deepEqual(apply({ 2: "a", 3: "b", 4: "c" }, { 2: "b", 3: "c", 4: "a" }), { 2: "b", 3: "c", 4: "a" });
});

test("names of fifteen characters are swapped too", (t) => {
  const [a, b] = ["abcdefghijklmno", "onmlkjihgfedcba"];
  t.deepEqual(apply({ 4294967294: a, 4294967295: b }, { 4294967294: b, 4294967295: a }), {
    4294967294: b,
    4294967295: a,
  });
});

test("a link nobody wants steps aside, a wanted one stays", (t) => {
  t.deepEqual(apply({ 2: "eth0", 3: "eth1" }, { 3: "eth0" }), { 2: "tapir2", 3: "eth0" });
  t.deepEqual(apply({ 2: "eth0", 3: "eth1", 4: "x" }, { 2: "eth0", 4: "eth1" }), {
    2: "eth0",
    3: "tapir3",
    4: "eth1",
  });
});
