import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "ava";
import { buildErofs, uuidOf } from "./erofs.ts";

const KEY = "0123456789abcdef0123456789abcdef";
const FILES = ["b/2", "a", "b/1", "c/d/e", "z"];

async function imageOf(folder: string, files: readonly string[]): Promise<Buffer> {
  const tree = join(folder, "tree");
  for (const name of files) {
    mkdirSync(dirname(join(tree, name)), { recursive: true });
    writeFileSync(join(tree, name), name.repeat(5000));
  }
  symlinkSync("a", join(tree, "link"));
  await buildErofs(tree, join(folder, "image"), uuidOf(KEY));
  return readFileSync(join(folder, "image"));
}

test("the image depends on what is in the tree, not on the order or time it came there", async (t) => {
  const folders = [0, 1].map(() => mkdtempSync(join(tmpdir(), "tapir-erofs-")));
  try {
    const [first, second] = folders;
    const one = await imageOf(first ?? "", FILES);
    const two = await imageOf(second ?? "", FILES.toReversed());
    const hash = (image: Buffer): string => createHash("sha256").update(image).digest("hex");
    t.is(hash(one), hash(two));
    t.is(one.readUInt32LE(1024), 0xe0f5e1e2, "magic number of the superblock");
    t.is(statSync(join(first ?? "", "image")).size % (2 << 20), 0, "whole huge pages");
  } finally {
    for (const folder of folders) rmSync(folder, { recursive: true });
  }
});

test("a tree that is not there is an error that names the tool", async (t) => {
  await t.throwsAsync(buildErofs("/nonexistent/tree", join(tmpdir(), "never"), uuidOf(KEY)), {
    message: /^cannot run mkfs\.erofs/,
  });
});

test("a key's UUID is one of version 8", (t) => {
  t.regex(uuidOf(KEY), /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
  t.not(uuidOf(KEY), uuidOf(KEY.replace("0", "1")));
});
