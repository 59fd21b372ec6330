import test from "ava";
import { cgroupDirectory, shareFate } from "./shared-fate.ts";

const mounts = [
  { target: "/sys/fs/cgroup", type: "tmpfs", root: "/" },
  { target: "/sys/fs/cgroup/cpu,cpuacct", type: "cgroup", root: "/" },
  { target: "/sys/fs/cgroup/systemd", type: "cgroup", root: "/" },
  { target: "/sys/fs/cgroup/memory", type: "cgroup", root: "/docker/abc" },
  { target: "/sys/fs/cgroup/unified", type: "cgroup2", root: "/" },
];

test("lines of both hierarchies lead to their directories", (t) => {
  t.is(cgroupDirectory("4:cpu,cpuacct:/a/b", mounts), "/sys/fs/cgroup/cpu,cpuacct/a/b");
  t.is(cgroupDirectory("1:name=systemd:/", mounts), "/sys/fs/cgroup/systemd/");
  t.is(cgroupDirectory("0::/system.slice/a:b", mounts), "/sys/fs/cgroup/unified/system.slice/a:b");
});

test("where only a part is mounted, only that part is known", (t) => {
  t.is(cgroupDirectory("3:memory:/docker/abc/x", mounts), "/sys/fs/cgroup/memory/x");
  t.is(cgroupDirectory("3:memory:/docker/abc", mounts), "/sys/fs/cgroup/memory");
  t.is(cgroupDirectory("3:memory:/docker/abcd", mounts), undefined);
  t.is(cgroupDirectory("5:hugetlb:/a", mounts), undefined);
});

test("what shares our fate already stays where it is", (t) => t.deepEqual(shareFate(process.pid), []));
