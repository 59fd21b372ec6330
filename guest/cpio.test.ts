import test from "ava";
import { type CpioEntry, writeCpio } from "./cpio.ts";

interface Member {
  readonly name: string;
  readonly mode: number;
  readonly links: number;
  readonly rdev: readonly number[];
  readonly content: string;
}

/** Reads an archive the way the kernel's init/initramfs.c does. */
function read(archive: Buffer): Member[] {
  const members: Member[] = [];
  for (let at = 0; at < archive.length; ) {
    if (archive.toString("latin1", at, at + 6) !== "070701") throw new Error(`no header at ${at}`);
    const field = (index: number): number =>
      Number.parseInt(archive.toString("latin1", at + 6 + index * 8, at + 14 + index * 8), 16);
    const nameEnd = at + 110 + field(11);
    const start = Math.ceil(nameEnd / 4) * 4;
    members.push({
      name: archive.toString("utf8", at + 110, nameEnd - 1),
      mode: field(1),
      links: field(4),
      rdev: [field(9), field(10)],
      content: archive.toString("utf8", start, start + field(6)),
    });
    at = Math.ceil((start + field(6)) / 4) * 4;
  }
  return members;
}

const ENTRIES: readonly CpioEntry[] = [
  { kind: "directory", path: "bin" },
  { kind: "file", path: "bin/a", mode: 0o755, content: Buffer.from("five!") },
  { kind: "file", path: "empty", content: Buffer.alloc(0) },
  { kind: "symlink", path: "bin/link", target: "a" },
  { kind: "device", path: "console", mode: 0o600, rdev: [5, 1] },
];

test("what was written is read back, and a trailer ends it", (t) => {
  t.deepEqual(read(writeCpio(ENTRIES)), [
    { name: "bin", mode: 0o040755, links: 2, rdev: [0, 0], content: "" },
    { name: "bin/a", mode: 0o100755, links: 1, rdev: [0, 0], content: "five!" },
    { name: "empty", mode: 0o100644, links: 1, rdev: [0, 0], content: "" },
    { name: "bin/link", mode: 0o120777, links: 1, rdev: [0, 0], content: "a" },
    { name: "console", mode: 0o020600, links: 1, rdev: [5, 1], content: "" },
    { name: "TRAILER!!!", mode: 0, links: 1, rdev: [0, 0], content: "" },
  ]);
});

test("an archive is a multiple of four bytes, so that another one can follow it", (t) => {
  for (const length of [0, 1, 2, 3, 4, 5]) {
    const archive = writeCpio([{ kind: "file", path: "x", content: Buffer.alloc(length) }]);
    t.is(archive.length % 4, 0);
    t.is(read(Buffer.concat([archive, archive])).length, 4);
  }
});

test("the same entries give the same bytes", (t) => {
  t.deepEqual(writeCpio(ENTRIES), writeCpio(ENTRIES));
});
