import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { isElf, neededBy, trimElf } from "./elf.ts";

// A program that every machine has, and this very Node.
const PROGRAM = readFileSync("/bin/true");
const NODE = readFileSync(process.execPath);

test("interpreter and libraries are what the loader will look for", (t) => {
  t.deepEqual(neededBy(PROGRAM).libraries, ["libc.so.6"]);
  t.regex(neededBy(PROGRAM).interpreter ?? "", /^\/lib64\/ld-linux/);
  t.true(neededBy(NODE).libraries.includes("libstdc++.so.6"));
});

test("a trimmed Node is smaller, still runs, and asks for the same libraries", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "tapir-elf-"));
  try {
    const trimmed = trimElf(NODE);
    t.true(trimmed.length < NODE.length);
    t.deepEqual(neededBy(trimmed), neededBy(NODE));
    writeFileSync(join(folder, "node"), trimmed, { mode: 0o755 });
    t.is(execFileSync(join(folder, "node"), ["-p", "6*7"], { encoding: "utf8" }), "42\n");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("trimming twice changes nothing", (t) => {
  t.deepEqual(trimElf(trimElf(PROGRAM)), trimElf(PROGRAM));
});

test("what is no ELF file, or half of one, is refused with a sentence", (t) => {
  t.false(isElf(Buffer.from("#!/bin/sh")));
  t.throws(() => neededBy(Buffer.from("#!/bin/sh")), { message: /cannot read ELF file/ });
  t.throws(() => neededBy(PROGRAM.subarray(0, 80)), { message: /program headers are cut off/ });
});
