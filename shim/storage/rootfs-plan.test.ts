import test from "ava";
import { codeOf } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { RootfsMount } from "../sandbox/workload-storage.ts";
import { shortenLayers } from "./mount-rootfs.ts";
import { planRootfs, type RootfsPlan } from "./rootfs-plan.ts";

const mount = (type: string, source: string, options: string[] = [], target = ""): RootfsMount => {
  return { type, source, target, options };
};
const plan = (rootfs: RootfsMount[], rootPath = "rootfs"): RootfsPlan =>
  planRootfs({ containerId: "c1", bundle: "/bundle", rootfs, rootPath });

test("without mounts it is the spec's own folder", (t) => {
  t.deepEqual(plan([]), { kind: "folder", source: "/bundle/rootfs", readOnly: false });
  t.deepEqual(plan([], ""), { kind: "folder", source: "/bundle/rootfs", readOnly: false });
  t.deepEqual(plan([], "/srv/image"), { kind: "folder", source: "/srv/image", readOnly: false });
});

test("a bind is a folder, whatever its source is called", (t) => {
  t.deepEqual(plan([mount("bind", "/dev/sda", ["rbind", "ro"])]), {
    kind: "folder",
    source: "/dev/sda",
    readOnly: true,
  });
});

test("an overlay is mounted on the host, several over each other", (t) => {
  const overlay = mount("overlay", "overlay", ["lowerdir=/a:/b"]);
  t.deepEqual(plan([overlay]), { kind: "mounts", mounts: [overlay] });
  const two = [mount("bind", "/a", ["rbind"]), overlay];
  t.deepEqual(plan(two), { kind: "mounts", mounts: two });
});

test("a file system on a disk goes to the guest as a disk", (t) => {
  const wanted = { kind: "disk", source: "/dev/mapper/thin-1", fileSystem: "ext4", options: ["ro"] };
  t.deepEqual(plan([mount("ext4", "/dev/mapper/thin-1", ["ro"])]), wanted as RootfsPlan);
});

test("refused: a part with a place of its own, a disk among others", (t) => {
  for (const rootfs of [
    [mount("overlay", "overlay", [], "/sub")],
    [mount("erofs", "/layer"), mount("overlay", "overlay")],
  ]) {
    t.is(codeOf(t.throws(() => plan(rootfs))), Code.FAILED_PRECONDITION);
  }
});

test("many layers are told relative to the folder they have in common", (t) => {
  const { folder, options } = shortenLayers([
    "index=off",
    "lowerdir=/s/snapshots/12/fs:/s/snapshots/1/fs",
    "upperdir=/s/13/fs",
  ]);
  t.is(folder, "/s/snapshots");
  t.deepEqual(options, ["index=off", "lowerdir=12/fs:1/fs", "upperdir=/s/13/fs"]);
  t.deepEqual(shortenLayers(["lowerdir=/a:/b"]), { folder: "/", options: ["lowerdir=a:b"] });
  t.deepEqual(shortenLayers(["lowerdir=/x/aa/fs:/x/a/fs"]).options, ["lowerdir=aa/fs:a/fs"]);
});
