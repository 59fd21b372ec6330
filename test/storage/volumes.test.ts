// Requires root, qemu-system-x86_64, virtiofsd, mkfs.ext4, loop devices, and the guest image below build/.
// What containers see of the host, below containerd: hypervisor, agent and the shim's storage.
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { codeOf } from "../../sys/error.ts";
import { parseMountInfo, readMounts } from "../../sys/inventory/mountinfo.ts";
import { readLedger } from "../../sys/ledger.ts";
import { MS, mount, unmount } from "../../sys/mount.ts";
import { findByToken, killProcess } from "../../sys/process.ts";
import { Code } from "../../sys/status.ts";
import { soon } from "../container/pod.ts";
import { useInventory } from "../harness/fixture.ts";
import { bootStoragePod, type StoragePod } from "./pod.ts";

const MARK = "tapir-volumes-";
let pod: StoragePod;

useInventory(test, MARK, async () => {
  await pod?.[Symbol.asyncDispose]();
});

test.before("boot", async () => {
  pod = await bootStoragePod(MARK);
});

let folders = 0;

function makeFolder(files: Readonly<Record<string, string>> = {}): string {
  folders++;
  const folder = join(pod.place, `volume-${folders}`);
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

function mountTmpfs(t: ExecutionContext, target: string, data = ""): void {
  mkdirSync(target, { recursive: true });
  mount({ source: "tmpfs", target, type: "tmpfs", data });
  t.teardown(() => unmount(target));
}

/** A file with a file system in it, and in that what `folder` holds. */
function makeDisk(folder: string): string {
  const file = `${folder}.img`;
  writeFileSync(file, "");
  truncateSync(file, 32 << 20);
  execFileSync("mkfs.ext4", ["-q", "-d", folder, file], { env: { PATH: "/usr/sbin:/sbin:/usr/bin:/bin" } });
  return file;
}

/** On the host, and where only the server of the share sees them. */
function mountsOfContainers(): string[] {
  const { directory } = pod.ledger;
  const entry = readLedger(directory).find(({ step }) => step === "hypervisor.virtiofsd")?.undo;
  const [server] = entry?.kind === "process" ? findByToken(entry.token) : [];
  const ofServer = readFileSync(`/proc/${server?.pid}/mountinfo`, "utf8")
    .trim()
    .split("\n")
    .map(parseMountInfo);
  return [
    ...readMounts().flatMap(({ target }) => (target.startsWith(`${directory}/shared/`) ? [target] : [])),
    ...ofServer.flatMap(({ target }) => (/^\/c\d+\//.test(target) ? [target] : [])),
  ];
}

function stepsInLedger(): string[] {
  return readLedger(pod.ledger.directory).map(({ step }) => step);
}

test.serial("a folder and a file are read and written both ways; afterwards nothing is left", async (t) => {
  const before = stepsInLedger().filter((step) => !/^(storage.share|hypervisor.virtiofsd)$/.test(step));
  const folder = makeFolder({ a: "from the host" });
  const single = makeFolder({ file: "one" });
  const { output, status } = await pod.run({
    script: "cat /data/a /etc/one; echo guest > /data/b; echo more >> /etc/one; ls /",
    mounts: [
      { destination: "/data", source: folder },
      { destination: "/etc/one", source: join(single, "file") },
    ],
  });
  t.is(status, 0, output);
  t.true(output.startsWith("from the hostone"), output);
  t.is(readFileSync(join(folder, "b"), "utf8"), "guest\n");
  t.is(readFileSync(join(single, "file"), "utf8"), "onemore\n");
  t.deepEqual(mountsOfContainers(), []);
  t.deepEqual(readdirSync(join(pod.ledger.directory, "points")), []);
  const steps = stepsInLedger().filter((step) => !/^(storage.share|hypervisor.virtiofsd)$/.test(step));
  t.deepEqual(steps, before);
});

test.serial("read-only is so on the host, with its submounts where asked", async (t) => {
  const folder = makeFolder();
  mountTmpfs(t, join(folder, "sub"));
  const options = (word: string): string[] => ["rbind", "rprivate", word];
  const { output } = await pod.run({
    script: "for d in /ro /ro/sub /rro /rro/sub; do echo x > $d/f && echo $d is writable; done; exit 0",
    mounts: [
      { destination: "/ro", source: folder, options: options("ro") },
      { destination: "/rro", source: folder, options: options("rro") },
    ],
  });
  t.deepEqual(output.match(/^.* is writable$/gm), ["/ro/sub is writable"], output);
  t.deepEqual(readdirSync(folder), ["sub"]);
  t.deepEqual(readdirSync(join(folder, "sub")), ["f"]);
});

test.serial(
  "a source that is a link is followed on the host; a link in a volume leads nowhere on the host",
  async (t) => {
    const folder = makeFolder({ inside: "right" });
    const outside = makeFolder({ secret: "of the host" });
    symlinkSync(folder, `${folder}-link`);
    symlinkSync(join(outside, "secret"), join(folder, "escape"));
    symlinkSync("../../../../../../../../etc/hostname", join(folder, "up"));
    const { output } = await pod.run({
      script: "cat /data/inside /data/escape /data/up; ln -s / /data/root; ls /data/root/",
      mounts: [{ destination: "/data", source: `${folder}-link` }],
    });
    t.true(output.startsWith("right"), output);
    t.false(output.includes("of the host"));
    t.regex(output, /\/data\/escape.*No such file/);
    t.true(output.includes("data"));
  },
);

test.serial("an update of a configMap is seen: the link to its data is swapped on the host", async (t) => {
  const folder = makeFolder();
  const publish = (version: string): void => {
    mkdirSync(join(folder, `..${version}`));
    writeFileSync(join(folder, `..${version}`, "key"), version);
    symlinkSync(`..${version}`, join(folder, "..data_tmp"));
    renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
  };
  publish("old");
  symlinkSync("..data/key", join(folder, "key"));
  const container = await pod.create({
    script:
      "cat /config/key; echo seen > /flag/seen; until [ $(cat /config/key) = new ]; do sleep 0.1; done; cat /config/key",
    mounts: [
      { destination: "/config", source: folder, options: ["rbind", "rprivate", "ro"] },
      { destination: "/flag", source: makeFolder() },
    ],
  });
  const flag = join(pod.place, `volume-${folders}`, "seen");
  const finished = container.finish();
  while (!existsSync(flag)) await new Promise((resolve) => setTimeout(resolve, 20));
  publish("new");
  const swapped = performance.now();
  t.is((await finished).output, "oldnew");
  t.log(`seen ${(performance.now() - swapped).toFixed(0)} ms after the swap`);
  await container.remove();
});

test.serial(
  "an emptyDir in memory is the guest's, as large as asked, and outlives a container",
  async (t) => {
    const volume = join(pod.place, "pods/1/volumes/kubernetes.io~empty-dir/cache");
    mountTmpfs(t, volume, "size=2048k,mode=2770,gid=1234");
    const mounts = [{ destination: "/cache", source: volume }];
    const first = await pod.run({
      script:
        "stat -c '%a %g' /cache; echo kept > /cache/kept; dd if=/dev/zero of=/cache/big bs=1M count=3; rm /cache/big",
      mounts,
    });
    t.true(first.output.startsWith("2770 1234"), first.output);
    t.regex(first.output, /No space left on device/);
    t.deepEqual(readdirSync(volume), []);
    const second = await pod.run({
      script: "cat /cache/kept; mount | grep /cache || cat /proc/mounts",
      mounts,
    });
    t.true(second.output.startsWith("kept"), second.output);
    t.regex(second.output, /on \/cache type tmpfs/);
    // A subPath: kubelet makes a folder in the volume and binds it elsewhere.
    mkdirSync(join(volume, "part/deep"), { recursive: true });
    const part = join(pod.place, "pods/1/volume-subpaths/cache/app/0");
    mkdirSync(part, { recursive: true });
    mount({ source: join(volume, "part/deep"), target: part, type: "", flags: MS.BIND });
    t.teardown(() => unmount(part));
    const third = await pod.run({
      script: "stat -c %a /part; echo in > /part/in; cat /cache/part/deep/in",
      mounts: [...mounts, { destination: "/part", source: part }],
    });
    t.is(third.output, "2770\nin\n");
  },
);

test.serial("HostToContainer: what the host mounts later is seen; with None it is not", async (t) => {
  const folder = makeFolder();
  mountTmpfs(t, folder);
  mount({ source: "", target: folder, type: "", flags: MS.SHARED });
  mkdirSync(join(folder, "late"));
  const flags = makeFolder();
  const container = await pod.create({
    script: [
      "echo > /flag/ready",
      "n=0; until [ -e /slave/late/new -o $n = 100 ]; do n=$((n + 1)); sleep 0.1; done",
      "cat /slave/late/new; cat /private/late/new 2> /dev/null || echo not seen",
    ].join("\n"),
    mounts: [
      { destination: "/slave", source: folder, options: ["rbind", "rslave", "rw"] },
      { destination: "/private", source: folder },
      { destination: "/flag", source: flags },
    ],
  });
  const finished = container.finish();
  while (!existsSync(join(flags, "ready"))) await new Promise((resolve) => setTimeout(resolve, 20));
  mountTmpfs(t, join(folder, "late"));
  writeFileSync(join(folder, "late/new"), "mounted later\n");
  const { output } = await finished;
  await container.remove();
  t.true(output.startsWith("mounted later"), output);
  t.true(output.endsWith("not seen\n"), output);
});

test.serial("what a VM cannot have is refused by name, and nothing stays", async (t) => {
  const before = stepsInLedger();
  const attempt = (source: string, options?: string[]) =>
    t.throwsAsync(
      pod.create({ script: "", mounts: [{ destination: "/x", source, ...(options && { options }) }] }),
    );
  const missing = await attempt("/no/such/source");
  t.is(codeOf(missing), Code.NOT_FOUND);
  t.regex(missing.message, /^cannot prepare mount \/x: .*\/no\/such\/source/);
  const both = await attempt(makeFolder(), ["rbind", "rshared"]);
  t.is(codeOf(both), Code.FAILED_PRECONDITION);
  t.regex(both.message, /Bidirectional.*use HostToContainer/);
  t.regex((await attempt("/proc")).message, /it is proc of the host's kernel/);
  t.deepEqual(stepsInLedger(), before);
  t.deepEqual(mountsOfContainers(), []);
});

test.serial("a root file system on a disk, and one in the spec's mounts", async (t) => {
  const disk = makeDisk(join(pod.place, "image"));
  const volume = makeDisk(makeFolder({ in: "side" }));
  const { output, status } = await pod.run({
    script: "mount; cat /data/in; echo written > /data/out; touch /mark || echo > /mark; df /",
    rootfs: [{ type: "ext4", source: disk, target: "", options: ["loop"] }],
    mounts: [{ destination: "/data", type: "ext4", source: volume, options: ["rw"] }],
  });
  t.is(status, 0, output);
  t.regex(output, / on \/ type ext4/);
  t.true(output.includes("side"), output);
  const content = (name: string): string =>
    execFileSync("debugfs", ["-R", `cat ${name}`, volume], {
      encoding: "utf8",
      env: { PATH: "/usr/sbin:/sbin:/usr/bin" },
      stdio: ["ignore", "pipe", "ignore"],
    });
  t.is(content("out"), "written\n");
});

test.serial("a root file system of erofs on a block device", async (t) => {
  const image = `${makeFolder()}.erofs`;
  const tools = { encoding: "utf8", env: { PATH: "/usr/sbin:/sbin:/usr/bin:/bin" } } as const;
  execFileSync("mkfs.erofs", [image, join(pod.place, "image")], { ...tools, stdio: "ignore" });
  const loop = execFileSync("losetup", ["--read-only", "--show", "-f", image], tools).trim();
  try {
    const { output, status } = await pod.run({
      script: "mount; echo x > /new",
      rootfs: [{ type: "erofs", source: loop, target: "", options: ["ro"] }],
    });
    t.not(status, 0);
    t.regex(output, / on \/ type erofs/);
    t.regex(output, /\/new: Read-only file system/);
  } finally {
    execFileSync("losetup", ["-d", loop], tools);
  }
});

test.serial("a raw block volume; a privileged container does not get the host's disks", async (t) => {
  const file = `${makeFolder()}.raw`;
  writeFileSync(file, Buffer.alloc(1 << 20, "x"));
  const tools = { encoding: "utf8", env: { PATH: "/usr/sbin:/sbin:/usr/bin:/bin" } } as const;
  const loop = execFileSync("losetup", ["--show", "-f", file], tools).trim();
  try {
    const [major, minor] = readFileSync(`/sys/block/${loop.replace("/dev/", "")}/dev`, "utf8")
      .split(":")
      .map(Number);
    const device = (path: string): object => ({
      path,
      type: "b",
      major,
      minor,
      fileMode: 0o660,
      uid: 0,
      gid: 0,
    });
    const rule = { allow: true, type: "b", major, minor, access: "rw" };
    const { output } = await pod.run({
      script: "dd if=/dev/raw bs=4 count=1; echo; echo -n guest | dd of=/dev/raw bs=5 conv=notrunc,fsync",
      linux: {
        devices: [device("/dev/raw")],
        resources: { devices: [{ allow: false, access: "rwm" }, rule] },
      },
    });
    t.true(output.includes("xxxx"), output);
    t.is(readFileSync(file).subarray(0, 6).toString(), "guestx");
    const privileged = await pod.create({
      script: `ls ${loop}`,
      linux: { devices: [device(loop)], resources: { devices: [{ allow: true, access: "rwm" }] } },
    });
    t.deepEqual(privileged.storage.deviceSources, []);
    await privileged.remove();
  } finally {
    execFileSync("losetup", ["-d", loop], tools);
    rmSync(file);
  }
});

test.serial("a file system that the host unmounts is free once its container is gone", async (t) => {
  const file = makeDisk(makeFolder({ a: "b" }));
  const folder = makeFolder();
  const tools = { encoding: "utf8", env: { PATH: "/usr/sbin:/sbin:/usr/bin:/bin" } } as const;
  execFileSync("mount", ["-o", "loop", file, folder], tools);
  const { output } = await pod.run({
    script: "cat /data/a; ls -lR /data",
    mounts: [{ destination: "/data", source: folder }],
  });
  t.true(output.startsWith("b"), output);
  unmount(folder);
  const isFree = (): boolean =>
    !execFileSync("losetup", ["-l", "-n", "-O", "BACK-FILE"], tools).includes(file);
  const end = performance.now() + 5000;
  while (!isFree() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 50));
  t.true(isFree());
});

// The last one: nothing can be read afterwards.
test.serial("virtiofsd that is killed is noticed, and the VM can still be ended at once", async (t) => {
  const entry = readLedger(pod.ledger.directory).find(({ step }) => step === "hypervisor.virtiofsd")?.undo;
  if (entry?.kind !== "process") return t.fail("the server is not in the ledger");
  const [server] = findByToken(entry.token);
  if (server === undefined) return t.fail("there is no server");
  await killProcess(server, soon());
  t.regex(await pod.storage.lost, /^virtiofsd (was killed by SIGKILL|exited)/);
  const start = performance.now();
  await pod[Symbol.asyncDispose]();
  t.true(performance.now() - start < 20_000);
});
