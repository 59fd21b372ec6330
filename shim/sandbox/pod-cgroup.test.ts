import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { type CgroupHierarchy, cgroupFolders, cgroupHierarchies, ownMemoryCgroup } from "../../sys/cgroup.ts";
import { openLedger } from "../../sys/ledger.ts";
import { makePodCgroups } from "./pod-cgroup.ts";

const SYSTEMD = "kubepods-burstable-pod7.slice:cri-containerd:abc";
const SCOPE =
  "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod7.slice/cri-containerd-abc.scope";

function directory(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), "tapir-cgroup-"));
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

/** Plain files where version 2 has its own; what is passed on shows in subtree_control. */
function versionTwo(t: ExecutionContext, ...folders: string[]): CgroupHierarchy {
  const root = directory(t);
  for (const folder of ["", ...folders]) {
    mkdirSync(join(root, folder), { recursive: true });
    writeFileSync(join(root, folder, "cgroup.controllers"), "cpu memory pids\n");
    writeFileSync(join(root, folder, "cgroup.subtree_control"), folder === "" ? "cpu memory pids\n" : "");
  }
  return { root, isCpuset: false };
}

test("version 2 with systemd's names: the scope lies in all slices, each passes its controllers on", async (t) => {
  const slices = ["kubepods.slice", "kubepods.slice/kubepods-burstable.slice"];
  const hierarchy = versionTwo(t, ...slices);
  const ledger = openLedger(join(directory(t), "state"));
  t.deepEqual(await makePodCgroups(SYSTEMD, ledger, [hierarchy]), [join(hierarchy.root, SCOPE)]);
  for (const slice of slices) {
    // A file keeps the last word only; each controller was one.
    t.is(readFileSync(join(hierarchy.root, slice, "cgroup.subtree_control"), "utf8"), "+pids");
  }
  t.is(readFileSync(join(hierarchy.root, "cgroup.subtree_control"), "utf8"), "cpu memory pids\n");
  await ledger.unwind();
  t.deepEqual(readdirSync(join(hierarchy.root, slices[1] ?? "")).toSorted(), [
    "cgroup.controllers",
    "cgroup.subtree_control",
  ]);
});

test("this machine's hierarchies: both kinds of names, made and removed", async (t) => {
  const before = `tapir-test-${process.pid}`;
  for (const path of [
    `/${before}/pod7/abc`,
    `${before.replaceAll("-", "_")}-pod7.slice:cri-containerd:abc`,
  ]) {
    const ledger = openLedger(join(directory(t), "state"));
    const folders = await makePodCgroups(path, ledger);
    t.is(folders.length, cgroupHierarchies().length);
    t.true(folders.length > 0 && folders.every(existsSync));
    await ledger.unwind();
    t.false(folders.some(existsSync));
  }
});

test("a process is found in the hierarchy that counts memory, of either version", (t) => {
  const one = [
    { root: "/sys/fs/cgroup/cpu", isCpuset: false },
    { root: "/sys/fs/cgroup/memory", isCpuset: false },
  ];
  const [folder = ""] = cgroupFolders(one[1] ?? { root: "", isCpuset: false }, "/pod7");
  const lines = "4:memory:/system.slice/containerd.service\n1:cpu,cpuacct:/\n0::/unified\n";
  t.is(ownMemoryCgroup(folder, one, lines), "/sys/fs/cgroup/memory/system.slice/containerd.service");
  const two = [{ root: "/sys/fs/cgroup", isCpuset: false }];
  t.is(ownMemoryCgroup("/sys/fs/cgroup/pod7", two, "0::/init.scope\n"), "/sys/fs/cgroup/init.scope");
  t.is(ownMemoryCgroup("/elsewhere/pod7", two, "0::/\n"), undefined);
});
