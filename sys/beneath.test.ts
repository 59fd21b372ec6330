import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { checkBeneath, makeBeneath } from "./beneath.ts";
import { errnoOf } from "./error.ts";

/** A folder `root` with `root/a/b`, a file, links that lead out, and `outside` beside it. */
function makePlace(t: ExecutionContext): string {
  const place = mkdtempSync(join(tmpdir(), "tapir-beneath-"));
  mkdirSync(join(place, "root/a/b"), { recursive: true });
  mkdirSync(join(place, "outside"));
  writeFileSync(join(place, "root/file"), "");
  symlinkSync("../outside", join(place, "root/out"));
  symlinkSync("a", join(place, "root/in"));
  t.teardown(() => rmSync(place, { recursive: true }));
  return place;
}

test("what is there is found, the root itself too", async (t) => {
  const root = join(makePlace(t), "root");
  for (const path of ["", "a/b", "file"]) await t.notThrowsAsync(checkBeneath(root, path));
});

test("a link, a way out, and what is not there are refused", async (t) => {
  const root = join(makePlace(t), "root");
  for (const [path, errno] of [
    ["out", "ELOOP"],
    ["in/b", "ELOOP"],
    ["../outside", "EXDEV"],
    ["/etc", "EXDEV"],
    ["a/missing", "ENOENT"],
  ] as const) {
    t.is(errnoOf(await t.throwsAsync(checkBeneath(root, path))), errno, path);
  }
});

test("missing folders are made with their mode; what is there stays as it is", async (t) => {
  const root = join(makePlace(t), "root");
  const before = statSync(join(root, "a")).mode;
  await makeBeneath(root, "a/new/deep", 0o2770);
  t.is(statSync(join(root, "a/new/deep")).mode & 0o7777, 0o2770);
  t.is(statSync(join(root, "a")).mode, before);
  await t.notThrowsAsync(makeBeneath(root, "a/new/deep", 0o700));
  await t.notThrowsAsync(makeBeneath(root, "", 0o700));
});

test("nothing is made through a link or outside", async (t) => {
  const place = makePlace(t);
  const root = join(place, "root");
  for (const path of ["out/new", "in/new", "../outside/new", "file/new"]) {
    await t.throwsAsync(makeBeneath(root, path, 0o755), undefined, path);
  }
  t.false(existsSync(join(place, "outside/new")));
  t.false(existsSync(join(root, "a/new")));
});
