// Requires what the set-up installs for `npm run guest`: erofs-utils, kmod, apt's lists or a filled download cache.
// The guest image as a whole: reproducible, kept while nothing changes, and built without touching anything else.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { buildGuest, defaultOptions } from "../guest/build.ts";

function scratch(t: ExecutionContext, parent: string): string {
  const folder = mkdtempSync(join(parent, "tapir-image-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

test("two builds give the same bytes, whatever the file system and the builder's umask", async (t) => {
  const options = defaultOptions(process.env);
  // /dev/shm lists folders in another order than a disk does.
  const [disk, memory] = [tmpdir(), "/dev/shm"].map((parent) => join(scratch(t, parent), "guest"));
  const bystander = join(scratch(t, tmpdir()), "bystander");
  writeFileSync(bystander, "", { mode: 0o600 });
  const one = await buildGuest({ ...options, output: disk ?? "" });
  const umask = process.umask(0o077);
  const two = await buildGuest({ ...options, output: memory ?? "" }).finally(() => process.umask(umask));

  t.deepEqual(one, two);
  t.deepEqual(
    readFileSync(join(disk ?? "", "manifest.json")),
    readFileSync(join(memory ?? "", "manifest.json")),
  );
  // The image's links lead to /tmp and /run: a build must not follow them to those of this machine.
  t.is(statSync(bystander).mode & 0o777, 0o600);
  t.deepEqual(readdirSync(join(disk ?? "", "..")), ["guest"], "nothing beside the image is left");
});

test("a build of the same inputs leaves the image, one of other inputs replaces it", async (t) => {
  const folder = scratch(t, "/dev/shm");
  const options = { ...defaultOptions(process.env), output: join(folder, "guest") };
  const first = await buildGuest(options);
  const inode = statSync(join(options.output, "root.erofs")).ino;
  t.deepEqual(await buildGuest(options), first);
  t.is(statSync(join(options.output, "root.erofs")).ino, inode, "it was left as it is");

  const agent = join(folder, "other.ts");
  writeFileSync(agent, "process.exitCode = 0;\n");
  const second = await buildGuest({ ...options, agent });
  t.not(second.key, first.key);
  t.deepEqual(second.files.vmlinuz, first.files.vmlinuz);
  t.not(second.files["root.erofs"].sha256, first.files["root.erofs"].sha256);
});
