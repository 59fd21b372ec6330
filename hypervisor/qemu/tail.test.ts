import test from "ava";
import { createTail } from "./tail.ts";

test("keeps the end only, over any number of chunks", (t) => {
  const tail = createTail(8);
  tail.push(Buffer.from("0123456789"));
  t.is(tail.text(), "23456789");
  tail.push(Buffer.from("ab"));
  t.is(tail.text(), "456789ab");
  for (let count = 0; count < 100; count += 1) tail.push(Buffer.from(`${count % 10}`));
  t.is(tail.text(), "23456789");
});

test("is safe to print: no colours, cursor movements or other control characters", (t) => {
  const tail = createTail(100);
  tail.push(Buffer.from("\u001bc\u001b[2J\u001b[1;31mred\u001b[0m\r\n\u0000\u0007a\tb\u009b31m\u007f"));
  t.is(tail.text(), "red\na\tb31m");
});

test("a copy is kept: the caller may reuse its buffer", (t) => {
  const tail = createTail(4);
  const chunk = Buffer.from("abcd");
  tail.push(chunk);
  chunk.fill("x");
  t.is(tail.text(), "abcd");
});
