import { tmpdir } from "node:os";
import test from "ava";
import { readRoom, shortageOf } from "./shortage.ts";

const GIB = 2 ** 30;
const ample = { totalBytes: 16 * GIB, availableBytes: 8 * GIB, directoryBytes: GIB };

test("room, and none when memory or the directory is short", (t) => {
  t.is(shortageOf(ample, 256), undefined);
  t.regex(shortageOf({ ...ample, availableBytes: 1.9 * GIB }, 256) ?? "", /memory is short/);
  t.regex(shortageOf(ample, 8 * 1024) ?? "", /memory is short/);
  t.regex(shortageOf({ ...ample, directoryBytes: 1000 }, 256) ?? "", /file system/);
});

test("a small machine keeps more than a tenth", (t) => {
  const small = { totalBytes: GIB, availableBytes: 0.6 * GIB, directoryBytes: GIB };
  t.regex(shortageOf(small, 256) ?? "", /256 MiB are to stay free/);
});

test("this machine's room is read", (t) => {
  const { totalBytes, availableBytes, directoryBytes } = readRoom(tmpdir());
  t.true(totalBytes > 64 * 2 ** 20 && availableBytes > 0 && availableBytes <= totalBytes);
  t.true(directoryBytes > 0);
});
