// Requires root, qemu-system-x86_64, and the guest image below build/.
// What containers of a real guest see: storages, mounts, devices, namespaces, limits of access.
import test from "ava";
import type { CreateContainerRequest } from "../../proto/gen/tapir/agent/v1/container.ts";
import { codeOf } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { useGuest } from "./guest.ts";
import { createRequest, exec, freshId, run, soon, specOf } from "./pod.ts";

const guest = useGuest(test, "tapir-storage-");
const MIB = 1n << 20n;

/** What a shell in a fresh container prints; `changes` to the spec and to the request. */
async function shell(
  t: Parameters<typeof run>[0],
  script: string,
  changes: { process?: object; linux?: object; mounts?: object[]; root?: object } = {},
  request: Partial<CreateContainerRequest> = {},
): Promise<string> {
  const spec = specOf(["sh", "-c", script], changes.process, changes.linux);
  const mounts = [...(spec.mounts as object[]), ...(changes.mounts ?? [])];
  const whole = { ...spec, mounts, ...(changes.root === undefined ? {} : { root: changes.root }) };
  const { ended, exit, output } = await run(t, guest(), whole, request);
  await ended;
  // Its processes are gone, too, for the next one that looks at all of the pod's.
  await exit();
  return `${output.stdout}${output.stderr}`.trim();
}

/** Index of the first mount that `changes` adds. */
const FIRST = (specOf(["sh"]).mounts as object[]).length;

test.serial(
  "a tmpfs is shared by its containers, as large as it was wanted, and goes with its last user",
  async (t) => {
    const tmpfs = { sizeBytes: 1n * MIB, mode: 0o777, uid: 1000, gid: 2000 };
    await guest().addStorage({ storage: { id: "empty", tmpfs } }, soon());
    await guest().addStorage({ storage: { id: "empty", tmpfs } }, soon());
    const other = guest().addStorage({ storage: { id: "empty", tmpfs: { ...tmpfs, mode: 0 } } }, soon());
    t.is(codeOf(await t.throwsAsync(other)), Code.ALREADY_EXISTS);
    const mounts = [{ destination: "/data", type: "bind", source: "/host/empty", options: ["rbind", "rw"] }];
    const mountSources = [{ index: FIRST, storage: { storageId: "empty", path: "" } }];
    await shell(t, "echo hello > /data/file", { mounts }, { mountSources });
    const id = freshId();
    const request = createRequest(
      id,
      { ...specOf(["sh"]), mounts: [...(specOf(["sh"]).mounts as object[]), ...mounts] },
      { mountSources },
    );
    await guest().createContainer(request, soon());
    t.is(
      codeOf(await t.throwsAsync(guest().removeStorage({ storageId: "empty" }, soon()))),
      Code.FAILED_PRECONDITION,
    );
    const seen = await shell(
      t,
      "cat /data/file; stat -c '%a %u %g' /data; dd if=/dev/zero of=/data/big bs=64k count=32 2>&1 | grep -o 'No space.*'; df -k /data | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2",
      { mounts },
      { mountSources },
    );
    t.is(seen, "hello\n777 1000 2000\nNo space left on device\n1024");
  },
);

test.serial("single files, read-only mounts and a container's own memory", async (t) => {
  const mounts = [
    { destination: "/etc/resolv.conf", type: "bind", source: "/host/resolv.conf", options: ["rbind", "ro"] },
    { destination: "/scratch", type: "bind", source: "/host/x", options: ["rbind", "nosuid", "noexec"] },
    { destination: "/image", type: "bind", source: "/host/y", options: ["rbind", "ro"] },
    { destination: "/skipped", type: "bind", source: "/host/z", options: ["rbind"] },
  ];
  const content = Buffer.from("nameserver 10.0.0.1\n");
  const mountSources = [
    { index: FIRST, file: { content, mode: 0o604, uid: 5, gid: 6 } },
    { index: FIRST + 1, tmpfs: { sizeBytes: MIB, mode: 0, uid: 0, gid: 0 } },
    { index: FIRST + 2, storage: { storageId: "image", path: "usr/bin" } },
    { index: FIRST + 3, skip: true },
  ];
  const seen = await shell(
    t,
    "cat /etc/resolv.conf; stat -L -c '%a %u %g' /etc/resolv.conf; echo x > /etc/resolv.conf; grep ' /scratch ' /proc/mounts; ls -d /image/busybox /skipped; touch /image/new",
    { mounts },
    { mountSources },
  );
  t.regex(seen, /^nameserver 10\.0\.0\.1\n604 5 6\n/);
  t.regex(seen, /resolv\.conf: Read-only file system/);
  t.regex(seen, /tmpfs \/scratch tmpfs rw,nosuid,noexec.*size=1024k/);
  t.regex(seen, /\/image\/busybox/);
  t.regex(seen, /\/skipped: No such file/);
  t.regex(seen, /\/image\/new: Read-only file system/);
});

test.serial(
  "what is not there, or leads out of its storage, is refused and leaves nothing behind",
  async (t) => {
    const attempt = async (changes: Partial<CreateContainerRequest>, spec: object = specOf(["sh"])) => {
      const id = freshId();
      const error = await t.throwsAsync(guest().createContainer(createRequest(id, spec, changes), soon()));
      // All of it is undone: the same id and storages can be used again.
      const again = await guest().createContainer(createRequest(id, specOf(["sh"])), soon());
      t.true(again.pid > 0);
      await guest().removeContainer({ containerId: id }, soon());
      return error;
    };
    t.regex((await attempt({ rootfs: { storageId: "nowhere", path: "" } }))?.message ?? "", /nowhere/);
    t.regex((await attempt({ rootfs: { storageId: "image", path: "no/folder" } }))?.message ?? "", /ENOENT/);
    t.regex(
      (await attempt({ rootfs: { storageId: "image", path: "bin" } }))?.message ?? "",
      /ELOOP/,
      "a symbolic link",
    );
    const spec = specOf(["sh"]);
    const mounts = [
      ...(spec.mounts as object[]),
      { destination: "/etc", type: "bind", source: "/etc", options: ["rbind"] },
    ];
    t.regex((await attempt({}, { ...spec, mounts }))?.message ?? "", /"\/etc".*is not in the guest/);
    const storages = [{ id: "late", blockDevice: { serial: "none", fileSystem: "ext4", options: [] } }];
    const soonest = guest().createContainer(
      createRequest(freshId(), spec, { storages }),
      (await import("../../sys/deadline.ts")).deadlineIn(500, "test"),
    );
    t.is(codeOf(await t.throwsAsync(soonest)), Code.DEADLINE_EXCEEDED);
    t.pass();
  },
);

test.serial(
  "/dev/shm is the pod's, /dev/mqueue and IPC as well; host name and network are the guest's",
  async (t) => {
    await guest().configurePod(
      { sysctls: { "kernel.shm_rmid_forced": "1", "net.core.somaxconn": "321" }, shmBytes: 2n * MIB },
      soon(),
    );
    t.is(
      await shell(t, "echo shared > /dev/shm/word; df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2"),
      "2048",
    );
    t.is(
      await shell(
        t,
        "cat /dev/shm/word /proc/sys/kernel/shm_rmid_forced /proc/sys/net/core/somaxconn; hostname",
      ),
      "shared\n1\n321\ncontainers",
    );
    const sysctl = { "net.ipv4.ping_group_range": "7 8", "net/ipv4/tcp_syncookies": "0" };
    t.is(
      await shell(t, "cat /proc/sys/net/ipv4/ping_group_range /proc/sys/net/ipv4/tcp_syncookies", {
        linux: { sysctl },
      }),
      "7\t8\n0",
      "a container's own",
    );
    const refused = guest().configurePod(
      { sysctls: { "kernel.core_pattern": "|/bin/sh" }, shmBytes: 0n },
      soon(),
    );
    t.is(codeOf(await t.throwsAsync(refused)), Code.INVALID_ARGUMENT);
    const unknown = guest().configurePod({ sysctls: { "net.core.nothing": "1" }, shmBytes: 0n }, soon());
    t.regex((await t.throwsAsync(unknown))?.message ?? "", /no such setting/);
  },
);

test.serial(
  "user, groups, capabilities, no new privileges, limits, read-only root, masked paths",
  async (t) => {
    const process = {
      user: { uid: 1000, gid: 1001, additionalGids: [7, 8], umask: 0o27 },
      cwd: "/tmp",
      env: ["PATH=/usr/bin", "WORD=a b=c"],
      oomScoreAdj: 500,
      capabilities: {},
      rlimits: [
        { type: "RLIMIT_NOFILE", hard: 99, soft: 88 },
        { type: "RLIMIT_CORE", hard: 0, soft: 0 },
      ],
    };
    const seen = await shell(
      t,
      "id; pwd; umask; echo $WORD; grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status; ulimit -n; cat /proc/self/oom_score_adj; echo x > /file; wc -c < /proc/kcore; echo 1 > /proc/sys/net/core/somaxconn",
      { process, root: { path: "rootfs", readonly: true } },
    );
    t.regex(seen, /^uid=1000 gid=1001 groups=7,8\n\/tmp\n0027\na b=c\n/);
    t.regex(seen, /CapEff:\s0{16}\nCapBnd:\s0{16}\nNoNewPrivs:\s1/);
    t.regex(seen, /\n88\n500\n/);
    t.regex(seen, /\/file: Read-only file system/);
    t.regex(seen, /\n0\n/, "masked");
    t.regex(seen, /somaxconn: (Read-only file system|Permission denied)/);
  },
);

test.serial("a seccomp profile is in force", async (t) => {
  const seccomp = {
    defaultAction: "SCMP_ACT_ALLOW",
    architectures: ["SCMP_ARCH_X86_64"],
    syscalls: [{ names: ["chmod", "fchmodat"], action: "SCMP_ACT_ERRNO", errnoRet: 1 }],
  };
  t.regex(
    await shell(t, "chmod 700 /tmp 2>&1; grep Seccomp: /proc/self/status", { linux: { seccomp } }),
    /not permitted\nSeccomp:\s2/,
  );
});

test.serial("devices: the usual ones, a disk under a name of its own, and none of the agent's", async (t) => {
  const devices = [
    { path: "/dev/xvda", type: "b", major: 8, minor: 0, fileMode: 0o660, uid: 0, gid: 6 },
    { path: "/dev/kvm", type: "c", major: 10, minor: 232 },
    { path: "/dev/vport0p1", type: "c", major: 240, minor: 1 },
  ];
  const rules = [
    { allow: false, access: "rwm" },
    { allow: true, type: "b", major: 8, minor: 0, access: "r" },
  ];
  const linux = { devices, resources: { devices: rules } };
  const deviceSources = [{ path: "/dev/xvda", serial: "tapir-root" }];
  const script =
    "ls /dev; head -c 1028 /dev/xvda | tail -c 4 | hexdump -C | head -n 1; echo > /dev/null && head -c 1 /dev/zero | wc -c; echo x > /dev/xvda";
  const seen = await shell(t, script, { linux }, { deviceSources });
  t.regex(seen, /xvda/);
  t.regex(seen, /e2 e1 f5 e0/, "the magic number of erofs");
  t.regex(seen, /xvda: (Operation not permitted|Read-only)/);
  t.notRegex(seen, /vport|kvm/);
  const created = await guest().createContainer(
    createRequest("ignored", specOf(["sh"], {}, linux), { deviceSources }),
    soon(),
  );
  t.teardown(() => guest().removeContainer({ containerId: "ignored" }, soon()));
  t.deepEqual(created.ignored, [
    'device "/dev/kvm": the guest has none',
    'device "/dev/vport0p1": the guest has none',
  ]);
});

test.serial("PID namespaces: of the container, of the pod, of another container", async (t) => {
  t.is(await shell(t, "echo $$"), "1");
  const shared = { namespaces: [{ type: "pid", path: "/proc/5/ns/pid" }, { type: "mount" }] };
  const link = "readlink /proc/self/ns/pid";
  const first = await shell(t, link, { linux: shared });
  t.is(await shell(t, link, { linux: shared }), first);
  t.not(await shell(t, link), first);
  // Without a pipe: busybox starts its own programs as /proc/self/exe, and for a moment they are called that.
  const all = await shell(t, "ps -o comm", { linux: shared });
  const others = all.split("\n").filter((name) => !["COMMAND", "sh", "ps"].includes(name));
  t.deepEqual(others, ["catatonit"], "nothing that a pod's processes could look for");
  const target = await run(t, guest(), specOf(["sh", "-c", "sleep 1000"]));
  const { running } = await exec(guest(), target.id, { args: ["sh", "-c", link] });
  await running.ended;
  const joined = await shell(t, link, { linux: shared }, { pidNamespaceOf: target.id });
  t.is(joined, running.output.stdout.toString().trim());
});

test.serial("orphans of a shared PID namespace are reaped", async (t) => {
  const shared = { namespaces: [{ type: "pid", path: "/proc/5/ns/pid" }, { type: "mount" }] };
  const orphans = "sh -c 'sleep 0.2 & sleep 0.2 &'; sleep 0.3";
  const untilNone =
    "for i in $(seq 60); do left=$(ps -o comm | grep -c sleep); [ $left = 0 ] && break; sleep 0.5; done";
  t.is(await shell(t, `${orphans}; ${untilNone}; echo $left`, { linux: shared }), "0");
});

test.serial("a privileged container is privileged in the guest", async (t) => {
  const all = ["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_CHOWN"];
  const process = { capabilities: { bounding: all, effective: all, permitted: all }, noNewPrivileges: false };
  const linux = {
    maskedPaths: [],
    readonlyPaths: [],
    resources: { devices: [{ allow: true, access: "rwm" }] },
  };
  const seen = await shell(
    t,
    "mount -t tmpfs none /mnt && echo mounted; ip link add dummy7 type dummy && ip link show dummy7 | head -n 1; echo 77 > /proc/sys/net/core/somaxconn; cat /proc/sys/net/core/somaxconn",
    { process, linux },
  );
  t.regex(seen, /^mounted\n.*dummy7.*\n77$/s);
});

test.serial("CPUs and memory that are there are online", async (t) => {
  const { vcpus, memoryBytes } = await guest().onlineResources(
    { vcpus: 2, memoryBytes: 0n, atMostVcpus: 0 },
    soon(),
  );
  t.is(vcpus, 2);
  t.true(memoryBytes >= 256n * MIB);
});
