import test from "ava";
import { Code } from "../sys/status.ts";
import { atMost, guestCode, guestExit, guestLines, guestText } from "./guest-bounds.ts";

test("text: one line, cut, without control characters", (t) => {
  t.is(guestText("fine, “ünïcode” too"), "fine, “ünïcode” too");
  t.is(guestText("a\r\nlevel=error\tb"), "a level=error b");
  t.is(guestText("\u001b[2J\u0000\u202e"), "�[2J��");
  t.is(guestText("abcdef", 3), "abc… (3 more characters)");
  t.true(guestText("x".repeat(10 << 20)).length < 1100);
});

test("codes and exits: what the kernel and gRPC know, else unknown", (t) => {
  t.deepEqual([5, 16, 0, 17, -1, 1.5, Number.NaN].map(guestCode), [5, 16, 2, 2, 2, 2, 2] as Code[]);
  t.is(guestCode(Code.OK), Code.UNKNOWN);
  t.deepEqual([0, 137, 255, 256, -1, 4_294_967_295].map(guestExit), [0, 137, 255, 255, 255, 255]);
});

test("lines and lists: a few, and the rest is counted or refused", (t) => {
  t.deepEqual(guestLines(["a", "b\nc"]), ["a", "b c"]);
  const many = guestLines(Array.from({ length: 100_000 }, () => "x"));
  t.is(many.length, 33);
  t.is(many.at(-1), "and 99968 more");
  t.deepEqual(atMost("routes", [1, 2], 2), [1, 2]);
  t.throws(() => atMost("routes", [1, 2, 3], 2), {
    message: "cannot list routes of the guest: it names 3, and at most 2 are taken",
  });
});
