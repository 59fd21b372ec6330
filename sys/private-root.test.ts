/** Requires root. */
import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { readMounts } from "./inventory/mountinfo.ts";
import { inPrivateRoot } from "./private-root.ts";

const PROGRAMS = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"];

function place(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), "tapir-root-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return directory;
}

const mountsIn = (directory: string): string[] =>
  readMounts()
    .map(({ target }) => target)
    .filter((target) => target.startsWith(directory));

const shell = (script: string): string =>
  spawnSync("/bin/sh", ["-c", script], { encoding: "utf8", cwd: "/" }).stdout;

test("what is started inside sees only what it is shown, read-only, links as links", (t) => {
  const [directory, mountPoint] = [place(t), place(t)];
  mkdirSync(join(directory, "folder"));
  writeFileSync(join(directory, "folder/inside"), "1");
  writeFileSync(join(directory, "hidden"), "1");
  symlinkSync("folder", join(directory, "link"));
  const visible = [
    ...PROGRAMS,
    ...["folder", "folder/inside", "link", "missing"].map((name) => join(directory, name)),
  ];
  const text = inPrivateRoot({ mountPoint, visible, devices: ["/dev/null"] }, () =>
    shell(
      `ls ${directory} ${directory}/link /dev; touch /new ${directory}/folder/new 2>&1 | wc -l; cat </dev/null; echo x >/dev/null && echo device`,
    ),
  );
  t.is(text, `/dev:\nnull\n\n${directory}:\nfolder\nlink\n\n${directory}/link:\ninside\n2\ndevice\n`);
  t.deepEqual(readdirSync(directory).toSorted(), ["folder", "hidden", "link"]);
});

test("no network, processes of others are hidden, and the thread comes back", (t) => {
  const directory = place(t);
  const where = (): string[] =>
    ["ns/mnt", "ns/net", "ns/ipc", "root", "cwd"].map((name) => readlinkSync(`/proc/thread-self/${name}`));
  const before = [...where(), process.cwd()];
  const text = inPrivateRoot({ mountPoint: directory, visible: PROGRAMS, devices: [] }, () =>
    shell(
      '/usr/bin/setpriv --reuid=1879048192 --regid=1879048192 --clear-groups sh -c "ls -d /proc/[0-9]* | wc -l; wc -l </proc/self/net/dev"',
    ),
  );
  const [processes, lines] = text.trim().split("\n").map(Number);
  t.true(Number(processes) <= 4, text);
  // Two lines of titles and lo.
  t.is(lines, 3);
  t.deepEqual([...where(), process.cwd()], before);
  t.deepEqual(mountsIn(directory), []);
});

test("work that fails, and a root that cannot be made, leave this process where it was", (t) => {
  const directory = place(t);
  const before = readlinkSync("/proc/thread-self/ns/mnt");
  const root = { mountPoint: directory, visible: PROGRAMS, devices: [] };
  t.throws(
    () =>
      inPrivateRoot(root, () => {
        throw new Error("mine");
      }),
    { message: "mine" },
  );
  t.throws(() => inPrivateRoot({ ...root, mountPoint: join(directory, "missing") }, () => 0), {
    message: /^cannot mount tmpfs/,
  });
  t.is(readlinkSync("/proc/thread-self/ns/mnt"), before);
  t.deepEqual(mountsIn(directory), []);
});
