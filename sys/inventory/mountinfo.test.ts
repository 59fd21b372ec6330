import test from "ava";
import { parseMountInfo } from "./mountinfo.ts";

test("optional fields before the dash are passed over", (t) => {
  const line = "36 35 98:0 /mnt1 /mnt2 rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue";
  t.deepEqual(parseMountInfo(line), {
    device: "98:0",
    root: "/mnt1",
    target: "/mnt2",
    type: "ext3",
    source: "/dev/root",
    options: "rw,errors=continue",
  });
});

test("no optional field, escaped blanks, a namespace file", (t) => {
  const line = "511 24 0:4 net:[4026532000] /run/netns/a\\040b rw - nsfs nsfs rw";
  t.deepEqual(parseMountInfo(line), {
    device: "0:4",
    root: "net:[4026532000]",
    target: "/run/netns/a b",
    type: "nsfs",
    source: "nsfs",
    options: "rw",
  });
});

test("a line that is no such line gives empty fields, not an error", (t) => {
  t.deepEqual(parseMountInfo("x"), { device: "", root: "", target: "", type: "", source: "", options: "" });
});
