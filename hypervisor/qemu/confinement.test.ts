/** Requires root and qemu-system-x86_64. */
import { mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import test from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { prepareVm } from "../../test/fakes/vm.ts";
import { confinementOf, pickUser } from "./confinement.ts";
import { createQemu } from "./qemu.ts";

test("QEMU runs as a user of its own, without capabilities, filtered, and sees its files only", async (t) => {
  const { spec, ledger } = prepareVm(t);
  const vm = await createQemu().start(spec, ledger, deadlineIn(20_000, "test"));
  const proc = `/proc/${vm.pid}`;
  const threads = readdirSync(`${proc}/task`);
  t.true(threads.length > 1);
  for (const thread of threads) {
    const status = readFileSync(`${proc}/task/${thread}/status`, "utf8");
    t.regex(status, /^Uid:\t(1[89]\d{8}|2\d{9})\t\1\t\1\t\1$/m);
    t.regex(status, /^Gid:\t(1[89]\d{8}|2\d{9})\t\1\t\1\t\1$/m);
    t.regex(status, /^Groups:\s*$/m);
    for (const set of ["Inh", "Prm", "Eff", "Bnd", "Amb"])
      t.regex(status, new RegExp(`^Cap${set}:\t0+$`, "m"));
    t.regex(status, /^NoNewPrivs:\t1$/m);
    t.regex(status, /^Seccomp:\t2$/m);
  }
  for (const name of ["mnt", "net", "ipc"]) {
    t.not(readlinkSync(`${proc}/ns/${name}`), readlinkSync(`/proc/self/ns/${name}`));
  }
  const interfaces = readFileSync(`${proc}/net/dev`, "utf8").trim().split("\n").slice(2);
  t.deepEqual(
    interfaces.map((line) => line.trim().split(":")[0]),
    ["lo"],
  );
  const limits = readFileSync(`${proc}/limits`, "utf8");
  t.regex(limits, /^Max core file size +0 +0 /m);
  t.regex(limits, /^Max processes +512 +512 /m);
  t.regex(limits, /^Max open files +4096 +4096 /m);
  const files = readdirSync(dirname(spec.kernel));
  t.true(files.includes("state"));
  t.deepEqual(
    readdirSync(`${proc}/root${dirname(spec.kernel)}`).toSorted(),
    [spec.image, spec.initramfs, spec.kernel].map((path) => basename(path)).toSorted(),
  );
  t.deepEqual(readdirSync(`${proc}/root/dev`).toSorted(), ["null", "urandom"]);
  t.throws(() => statSync(`${proc}/root/root`), { code: "ENOENT" });
  const mounts = readFileSync(`${proc}/mountinfo`, "utf8").trim().split("\n");
  const writable = mounts.filter((line) => !/ ro,/.test(line)).map((line) => line.split(" ")[4]);
  t.deepEqual(writable.toSorted(), ["/dev/null", "/dev/urandom", "/proc"]);
  await ledger.unwind();
});

test("this process is where it was, whatever became of QEMU", async (t) => {
  const { spec, ledger } = prepareVm(t);
  const where = (): string[] =>
    ["ns/mnt", "ns/net", "ns/ipc", "cwd", "root"].map((name) => readlinkSync(`/proc/thread-self/${name}`));
  const before = where();
  await t.throwsAsync(
    createQemu().start(
      { ...spec, imageDriver: "virtio-blk", memoryMiB: -1 },
      ledger,
      deadlineIn(20_000, "test"),
    ),
  );
  t.deepEqual(where(), before);
  await ledger.unwind();
});

test("each VM has another user; with KVM it may open that device and has its group", (t) => {
  const { spec } = prepareVm(t);
  const users = Array.from({ length: 100 }, pickUser);
  t.is(new Set(users).size, users.length);
  t.true(users.every((user) => user >= 1_879_048_192 && user <= 2_147_483_646));
  const { root, groups } = confinementOf(spec, 1);
  t.false(root?.devices.includes("/dev/kvm"));
  t.deepEqual(groups, []);
});

test("a QEMU installed elsewhere is seen with what lies around its bin folder, a lone one alone", (t) => {
  const { spec } = prepareVm(t);
  const directory = dirname(spec.kernel);
  const [lone, binary] = [join(directory, "qemu"), join(directory, "opt/bin/qemu")];
  mkdirSync(dirname(binary), { recursive: true });
  for (const path of [lone, binary]) writeFileSync(path, "");
  const seen = (qemu: string): readonly string[] => confinementOf({ ...spec, qemu }, 1).root?.visible ?? [];
  t.true(seen(binary).includes(join(directory, "opt")));
  t.true(seen(lone).includes(lone));
  t.false(seen(lone).includes(directory));
});
