import test from "ava";
import { codeOf } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { OciMount } from "../sandbox/oci.ts";
import { isBind, planMount } from "./mount-plan.ts";
import type { SourceFacts } from "./sources.ts";

const mount = (parts: Partial<OciMount> = {}): OciMount => ({
  destination: "/data",
  type: "bind",
  source: "/srv/data",
  options: ["rbind", "rprivate", "rw"],
  idMapped: false,
  ...parts,
});
const IDENTITY = { device: 1n, inode: 2n };
const facts = (parts: Partial<SourceFacts> = {}): SourceFacts => ({
  path: "/srv/data",
  kind: "folder",
  identity: IDENTITY,
  fileSystem: "ext4",
  hasMounts: false,
  memory: undefined,
  ...parts,
});
const MEMORY = { id: "memory-0-57", sizeBytes: 1024n, mode: 0o777, uid: 0, gid: 0, path: "" };

test("a folder and a file go through the share, as they are on the host", (t) => {
  const share = {
    kind: "share",
    source: "/srv/data",
    identity: IDENTITY,
    recursive: true,
    readOnly: "no",
    hostReadOnly: false,
    propagation: "private",
  };
  t.deepEqual(planMount(mount(), facts()), share as ReturnType<typeof planMount>);
  t.deepEqual(planMount(mount(), facts({ kind: "file" })), share as ReturnType<typeof planMount>);
});

for (const [options, expected] of [
  [["bind", "ro"], { recursive: false, readOnly: "top" }],
  [["rbind", "ro", "rslave"], { recursive: true, readOnly: "top", propagation: "slave" }],
  [["rbind", "rro"], { readOnly: "all" }],
  [["rbind", "ro", "rw"], { readOnly: "no" }],
  [["rbind", "rw", "ro"], { readOnly: "top" }],
  [["ro"], { recursive: true, readOnly: "top" }],
  [[], { recursive: true, readOnly: "no", propagation: "private" }],
] as const) {
  test(`options ${options.join(",") || "none"}`, (t) => {
    t.like(planMount(mount({ options }), facts()), expected);
  });
}

test("read-only is left to the host where something below may be written", (t) => {
  const planOf = (options: string[], hasMounts: boolean): boolean => {
    const plan = planMount(mount({ options }), facts({ hasMounts }));
    return plan.kind === "share" && plan.hostReadOnly;
  };
  t.true(planOf(["rbind", "ro"], true));
  t.true(planOf(["rbind", "ro", "rslave"], false));
  t.false(planOf(["rbind", "ro"], false));
  t.false(planOf(["bind", "ro"], true));
  t.false(planOf(["rbind", "rro"], true));
  t.false(planOf(["rbind", "rw"], true));
});

test("what shows nothing of the host is the guest's", (t) => {
  for (const type of ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup"]) {
    const one = mount({ type, source: type, options: ["nosuid"] });
    t.false(isBind(one));
    t.deepEqual(planMount(one, undefined), { kind: "guest" });
  }
  const shm = mount({ destination: "/dev/shm", source: "/run/containerd/shm" });
  t.true(isBind(shm));
  t.deepEqual(planMount(shm, facts({ fileSystem: "tmpfs" })), { kind: "guest" });
});

test("a larger /dev/shm, and any emptyDir in memory, is a tmpfs of the guest", (t) => {
  for (const destination of ["/dev/shm", "/cache"]) {
    const plan = planMount(mount({ destination }), facts({ fileSystem: "tmpfs", memory: MEMORY }));
    t.deepEqual(plan, { kind: "memory", volume: MEMORY });
  }
});

test("a secret lies on a tmpfs and is no emptyDir: its folder is shared, so that updates are seen", (t) => {
  t.like(planMount(mount(), facts({ fileSystem: "tmpfs" })), { kind: "share" });
});

test("a file system on a disk is mounted in the guest", (t) => {
  const plan = planMount(
    mount({ type: "ext4", source: "/dev/sdb1", options: ["ro", "noatime", "rprivate"] }),
    undefined,
  );
  t.deepEqual(plan, { kind: "disk", source: "/dev/sdb1", fileSystem: "ext4", options: ["ro", "noatime"] });
});

for (const [title, wanted, found, reason] of [
  ["rshared", { options: ["rbind", "rshared"] }, {}, /Bidirectional.*; use HostToContainer/],
  ["mapped ids", { idMapped: true }, {}, /ids cannot be mapped/],
  ["the host's proc", {}, { fileSystem: "proc" }, /it is proc of the host's kernel/],
  ["the host's /dev", {}, { fileSystem: "devtmpfs" }, /it is devtmpfs of the host's kernel/],
  ["huge pages", {}, { fileSystem: "hugetlbfs" }, /huge pages/],
  ["a socket", {}, { kind: "socket" }, /it is a socket, whose other end is on the host/],
  ["a fifo", {}, { kind: "fifo" }, /it is a fifo/],
  ["a block device", {}, { kind: "block device" }, /use volumeDevices/],
] as const) {
  test(`refused: ${title}`, (t) => {
    const error = t.throws(() => planMount(mount(wanted), facts(found)));
    t.is(codeOf(error), Code.FAILED_PRECONDITION);
    t.regex(error.message, /^cannot mount \/srv\/data on \/data: /);
    t.regex(error.message, reason);
  });
}
