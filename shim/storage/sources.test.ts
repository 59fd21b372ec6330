// Requires root. Mounts in folders of its own.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { codeOf } from "../../sys/error.ts";
import type { MountInfo } from "../../sys/inventory/mountinfo.ts";
import { MS, mount, unmount } from "../../sys/mount.ts";
import { Code } from "../../sys/status.ts";
import { mountOf, readSource, sizeOf } from "./sources.ts";

function makePlace(t: ExecutionContext): string {
  const place = mkdtempSync(join(tmpdir(), "tapir-sources-"));
  t.teardown(() => rmSync(place, { recursive: true }));
  return place;
}

test("links are resolved; kinds are told apart", async (t) => {
  const place = makePlace(t);
  writeFileSync(join(place, "file"), "");
  symlinkSync("file", join(place, "link"));
  t.like(await readSource(join(place, "link")), {
    path: join(place, "file"),
    kind: "file",
    memory: undefined,
  });
  t.like(await readSource(place), { kind: "folder" });
  t.like(await readSource("/dev/null"), { kind: "character device" });
  t.like(await readSource("/proc/self/status"), { fileSystem: "proc" });
  const server = createServer().listen(join(place, "socket"));
  await new Promise((resolve) => server.once("listening", resolve));
  t.like(await readSource(join(place, "socket")), { kind: "socket" });
  server.close();
});

test("whether something is mounted below", async (t) => {
  const place = makePlace(t);
  for (const folder of ["a/b/c", "a/b2"]) mkdirSync(join(place, folder), { recursive: true });
  mount({ source: "tmpfs", target: join(place, "a/b"), type: "tmpfs" });
  t.teardown(() => unmount(join(place, "a/b")));
  t.true((await readSource(place)).hasMounts);
  t.true((await readSource(join(place, "a"))).hasMounts);
  t.false((await readSource(join(place, "a/b"))).hasMounts);
  t.false((await readSource(join(place, "a/b2"))).hasMounts);
});

test("what is not there, and a link in a circle", async (t) => {
  const place = makePlace(t);
  symlinkSync("circle", join(place, "circle"));
  t.is(codeOf(await t.throwsAsync(readSource(join(place, "missing")))), Code.NOT_FOUND);
  t.regex((await t.throwsAsync(readSource(join(place, "circle")))).message, /ELOOP/);
});

test("an emptyDir in memory, and a subPath of it", async (t) => {
  const place = makePlace(t);
  const volume = join(place, "volumes/kubernetes.io~empty-dir/cache");
  const part = join(place, "volume-subpaths/cache/app/0");
  for (const folder of [volume, part]) mkdirSync(folder, { recursive: true });
  mount({ source: "tmpfs", target: volume, type: "tmpfs", data: "size=3m,mode=2775,gid=7" });
  mkdirSync(join(volume, "a/b"), { recursive: true });
  mount({ source: join(volume, "a"), target: part, type: "", flags: MS.BIND });
  t.teardown(() => {
    unmount(part);
    unmount(volume);
  });
  const whole = await readSource(volume);
  t.like(whole.memory, { sizeBytes: 3n << 20n, mode: 0o2775, gid: 7, uid: 0, path: "" });
  const below = await readSource(join(part, "b"));
  t.deepEqual(below.memory, { ...whole.memory, path: "a/b" } as typeof below.memory);
});

test("a tmpfs that is no emptyDir is not memory of the pod", async (t) => {
  const place = makePlace(t);
  mount({ source: "tmpfs", target: place, type: "tmpfs" });
  t.like(await readSource(place), { fileSystem: "tmpfs", memory: undefined });
  unmount(place);
});

test("the innermost mount counts, of several on one folder the last", (t) => {
  const at = (target: string, device: string): MountInfo => {
    return { device, root: "/", target, type: "ext4", source: "", options: "" };
  };
  const mounts = [at("/", "1"), at("/a", "2"), at("/a/b", "3"), at("/a", "4"), at("/ab", "5")];
  t.is(mountOf(mounts, "/a/x")?.device, "4");
  t.is(mountOf(mounts, "/a/b/c")?.device, "3");
  t.is(mountOf(mounts, "/abc")?.device, "1");
});

test("sizes as mountinfo shows them", (t) => {
  t.is(sizeOf("rw,size=2048k,mode=755"), 2n << 20n);
  t.is(sizeOf("rw,size=1g"), 1n << 30n);
  t.is(sizeOf("rw,mode=755"), 0n);
  t.is(sizeOf("rw,maxsize=12k"), 0n);
});
