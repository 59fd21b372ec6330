// Requires root. Mounts in folders of its own.
import {
  closeSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { errnoOf } from "./error.ts";
import { mount, unmount } from "./mount.ts";
import { cloneTree, moveTree, setAttributes } from "./mount-tree.ts";

/** A folder with a tmpfs `source` that has another one at `source/sub`, and an empty folder `target`. */
function makePlace(t: ExecutionContext): string {
  const place = mkdtempSync(join(tmpdir(), "tapir-mount-tree-"));
  for (const name of ["source", "target"]) mkdirSync(join(place, name));
  mount({ source: "tmpfs", target: join(place, "source"), type: "tmpfs" });
  mkdirSync(join(place, "source/sub"));
  mount({ source: "tmpfs", target: join(place, "source/sub"), type: "tmpfs" });
  writeFileSync(join(place, "source/top"), "top");
  writeFileSync(join(place, "source/sub/inner"), "inner");
  t.teardown(() => {
    unmount(join(place, "target"));
    unmount(join(place, "source"));
    rmSync(place, { recursive: true });
  });
  return place;
}

const write = (path: string) => (): void => writeFileSync(path, "x");

test("a tree is read-only at its top, or all over", async (t) => {
  const place = makePlace(t);
  const tree = await cloneTree(join(place, "source"), { recursive: true });
  setAttributes(tree, { set: ["readOnly", "noDevices"], recursive: false });
  moveTree(tree, join(place, "target"));
  t.is(errnoOf(t.throws(write(join(place, "target/top")))), "EROFS");
  t.notThrows(write(join(place, "target/sub/inner")));
  setAttributes(tree, { set: ["readOnly"], recursive: true });
  t.is(errnoOf(t.throws(write(join(place, "target/sub/inner")))), "EROFS");
  t.notThrows(write(join(place, "source/top")));
  closeSync(tree);
});

test("without recursion what is mounted below is not there", async (t) => {
  const place = makePlace(t);
  const tree = await cloneTree(join(place, "source"), { recursive: false });
  moveTree(tree, join(place, "target"));
  closeSync(tree);
  t.is(errnoOf(t.throws(() => readFileSync(join(place, "target/sub/inner")))), "ENOENT");
});

test("what nobody moved goes with its descriptor", async (t) => {
  const place = makePlace(t);
  const tree = await cloneTree(join(place, "source"), { recursive: true });
  t.true(fstatSync(tree).isDirectory());
  closeSync(tree);
  t.notThrows(() => unmount(join(place, "source")));
});

test("a file; a source that is a link is followed, a target that is one is not", async (t) => {
  const place = makePlace(t);
  symlinkSync(join(place, "source/top"), join(place, "link"));
  writeFileSync(join(place, "file"), "");
  symlinkSync(join(place, "file"), join(place, "file-link"));
  const tree = await cloneTree(join(place, "link"), { recursive: false });
  t.true(fstatSync(tree).isFile());
  t.is(errnoOf(t.throws(() => moveTree(tree, join(place, "file-link")))), "ELOOP");
  t.is(readFileSync(join(place, "file"), "utf8"), "");
  moveTree(tree, join(place, "file"));
  closeSync(tree);
  t.is(readFileSync(join(place, "file"), "utf8"), "top");
  unmount(join(place, "file"));
});

test("a source that is not there", async (t) => {
  const error = await t.throwsAsync(cloneTree("/no/such/source", { recursive: true }));
  t.regex(error.message, /^cannot open \/no\/such\/source: ENOENT/);
});

test("mounts come later to a slave, never to a private one", async (t) => {
  const place = makePlace(t);
  const shared = await cloneTree(join(place, "source"), { recursive: true });
  setAttributes(shared, { propagation: "shared", recursive: true });
  moveTree(shared, join(place, "target"));
  closeSync(shared);
  for (const propagation of ["slave", "private"] as const) {
    const view = join(place, propagation);
    mkdirSync(view);
    const tree = await cloneTree(join(place, "target"), { recursive: true });
    setAttributes(tree, { propagation, recursive: true });
    moveTree(tree, view);
    closeSync(tree);
    const point = join(place, `target/for-${propagation}`);
    mkdirSync(point);
    mount({ source: "tmpfs", target: point, type: "tmpfs" });
    writeFileSync(join(point, "new"), "");
    const seen = (): string => readFileSync(join(view, `for-${propagation}/new`), "utf8");
    if (propagation === "slave") t.is(seen(), "");
    else t.is(errnoOf(t.throws(seen)), "ENOENT");
    unmount(view);
  }
});
