// Requires root, containerd, CNI plugins, QEMU, virtiofsd and what the set-up puts below build/.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import test from "ava";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { useNode } from "../harness/fixture.ts";
import { BUILT } from "../harness/project.ts";
import { type TestPod, workloads } from "../harness/workload.ts";
import { attempts } from "./attempts.ts";

const node = useNode(test);
const soon = (): Deadline => deadlineIn(180_000, "write to the root image");

/** A node of the guest's own root image, and a way out of the container's rules for devices: into the guest's first cgroup. */
const MAKE = "busybox mknod /dev/image b $(busybox tr : ' ' < /sys/block/pmem0/dev)";
const ESCAPE =
  "mkdir -p /tmp/cgroup && busybox mount -t cgroup2 none /tmp/cgroup && echo 0 > /tmp/cgroup/cgroup.procs";
const READ = "busybox dd if=/dev/image of=/tmp/start bs=4096 count=1 && busybox sha256sum < /tmp/start";
const WRITE = "busybox dd if=/dev/zero of=/dev/image bs=4096 count=1 conv=notrunc,fsync";
/** Far more than it takes. */
const WRITE_MS = 5_000;

test("a privileged container writes to the root image: the file stays as it is, and so does the next pod's", async (t) => {
  const image = `${BUILT.guest}/root.erofs`;
  const sum = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
  const before = readFileSync(image);
  const start = sum(before.subarray(0, 4096));
  const work = workloads(node());
  const linux = { security_context: { privileged: true } };
  const open = async (name: string): Promise<{ pod: TestPod; id: string }> => {
    const limit = soon();
    const pod = await work.pod(name, limit, { linux });
    return { pod, id: await pod.start("privileged", { command: ["sleep", "1000"], linux }, limit) };
  };
  const read = async (id: string) =>
    attempts(work, id, { make: MAKE, plain: READ, escaped: `${ESCAPE}; ${READ}` });

  const writer = await open("writer");
  const said = await read(writer.id);
  t.regex(said.plain ?? "", /^refused: .*Operation not permitted/s);
  t.true(said.escaped?.endsWith(`${start}  -`), said.escaped);
  // The guest's kernel takes it for writable. What becomes of that guest is its own affair; it may hang.
  const writing = work
    .execSync(writer.id, ["sh", "-c", `${ESCAPE}; ${WRITE}`], soon())
    .catch(() => undefined);
  await Promise.race([writing, pause(WRITE_MS)]);
  t.is(sum(readFileSync(image)), sum(before));

  const reader = await open("reader");
  t.true((await read(reader.id)).escaped?.endsWith(`${start}  -`));
  // A guest that hangs is removed like any other.
  const limit = soon();
  for (const { pod } of [writer, reader]) {
    await node().crictl.stopp(pod.id, limit);
    await node().crictl.rmp(pod.id, limit);
  }
  t.is(sum(readFileSync(image)), sum(before));
});
