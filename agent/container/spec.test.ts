import test from "ava";
import type { DeviceNode } from "./devices.ts";
import type { PlacedMount } from "./mounts.ts";
import { parseSpec } from "./parse-spec.ts";
import { type GuestPlaces, guestSpec } from "./spec.ts";

const places: GuestPlaces = {
  rootfs: "/run/tapir/storage/root",
  cgroup: "/tapir/c1",
  mounts: new Map(),
  disks: new Map(),
  device: () => undefined,
  sharedMemory: "/run/tapir/shm",
  hugePages: new Set(["2MB"]),
  sharedPids: undefined,
};

/** Through the parser, as the agent gets it. */
function transform(spec: object, changes: Partial<GuestPlaces> = {}) {
  const whole = { process: { args: ["sh"], cwd: "/" }, linux: {}, ...spec };
  return guestSpec(parseSpec(Buffer.from(JSON.stringify(whole))), { ...places, ...changes });
}

test("what containerd writes for a container of a pod, inside the guest", (t) => {
  const { spec, sysctls, ignored } = transform(
    {
      ociVersion: "1.1.0",
      process: {
        user: { uid: 1000, gid: 1000, umask: 18, additionalGids: [1000] },
        args: ["/bin/app", "--flag"],
        env: ["PATH=/bin", "A=b=c"],
        cwd: "/srv",
        capabilities: { bounding: ["CAP_KILL"] },
        rlimits: [{ type: "RLIMIT_CORE", hard: 5, soft: 5 }],
        noNewPrivileges: true,
        oomScoreAdj: 985,
      },
      root: { path: "rootfs", readonly: true },
      hostname: "host-name",
      mounts: [
        { destination: "/proc", type: "proc", source: "proc", options: ["nosuid"] },
        { destination: "/sys", type: "sysfs", source: "sysfs", options: ["ro"] },
        {
          destination: "/data",
          type: "bind",
          source: "/var/lib/kubelet/x",
          options: ["rbind", "rprivate", "rw"],
        },
        { destination: "/dev/shm", type: "bind", source: "/run/x/shm", options: ["rbind", "ro"] },
      ],
      annotations: { "run.oci.handler": "krun" },
      linux: {
        namespaces: [
          { type: "pid" },
          { type: "network", path: "/proc/9/ns/net" },
          { type: "ipc", path: "/proc/9/ns/ipc" },
          { type: "uts", path: "/proc/9/ns/uts" },
          { type: "mount" },
          { type: "cgroup" },
        ],
        cgroupsPath: "kubepods-burstable.slice:cri-containerd:abc",
        resources: {
          memory: { limit: 1 << 20, swap: 1 << 20 },
          cpu: { shares: 102, quota: 10_000, period: 100_000 },
          pids: { limit: 100 },
          unified: { "memory.oom.group": "1" },
        },
        sysctl: { "net.ipv4.ip_forward": "1" },
        seccomp: { defaultAction: "SCMP_ACT_ERRNO", listenerPath: "/run/x", syscalls: [{ names: ["read"] }] },
        maskedPaths: ["/proc/kcore"],
        readonlyPaths: ["/proc/sys"],
        rootfsPropagation: "rslave",
      },
    },
    {
      mounts: new Map<number, PlacedMount>([[2, { kind: "bind", path: "/run/tapir/storage/share/c1/data" }]]),
    },
  );
  t.deepEqual(spec, {
    ociVersion: "1.0.2",
    process: {
      user: { uid: 1000, gid: 1000, umask: 18, additionalGids: [1000] },
      args: ["/bin/app", "--flag"],
      env: ["PATH=/bin", "A=b=c"],
      cwd: "/srv",
      capabilities: { bounding: ["CAP_KILL"] },
      rlimits: [{ type: "RLIMIT_CORE", hard: 5, soft: 5 }],
      noNewPrivileges: true,
      oomScoreAdj: 985,
    },
    root: { path: "/run/tapir/storage/root", readonly: true },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: ["nosuid"] },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["ro"] },
      {
        destination: "/data",
        type: "bind",
        source: "/run/tapir/storage/share/c1/data",
        options: ["rbind", "rprivate", "rw"],
      },
      { destination: "/dev/shm", type: "bind", source: "/run/tapir/shm", options: ["rbind", "ro"] },
    ],
    linux: {
      namespaces: [{ type: "pid" }, { type: "mount" }, { type: "cgroup" }],
      cgroupsPath: "/tapir/c1",
      resources: {
        memory: { limit: 1 << 20, swap: 1 << 20 },
        cpu: { shares: 102, quota: 10_000, period: 100_000 },
        pids: { limit: 100 },
        unified: { "memory.oom.group": "1" },
        devices: [],
      },
      devices: [],
      maskedPaths: ["/proc/kcore"],
      readonlyPaths: ["/proc/sys"],
      rootfsPropagation: "rslave",
      seccomp: { defaultAction: "SCMP_ACT_ERRNO", syscalls: [{ names: ["read"] }] },
    },
  });
  t.deepEqual(sysctls, { "net.ipv4.ip_forward": "1" });
  t.deepEqual(ignored, ['annotation "run.oci.handler": it is for a runtime on the host']);
});

test("numbers of 64 bits stay what they are", (t) => {
  const text = `{"process":{"args":["a"],"cwd":"/","rlimits":[{"type":"RLIMIT_CORE","hard":18446744073709551615,"soft":0}]},
    "linux":{"resources":{"memory":{"limit":9223372036854771712}}}}`;
  const written = JSON.stringify(guestSpec(parseSpec(Buffer.from(text)), places).spec);
  t.true(written.includes('"hard":18446744073709551615'));
  t.true(written.includes('"limit":9223372036854771712'));
});

test("what Go leaves empty as null is as if it were not there", (t) => {
  const { spec } = transform({
    mounts: null,
    hooks: null,
    root: null,
    linux: { devices: null, resources: null, sysctl: null },
  });
  t.deepEqual(spec.mounts, []);
  t.deepEqual(spec.linux?.devices, []);
});

test("what the guest does not honour is named, and gone", (t) => {
  const { spec, ignored } = transform({
    process: {
      args: ["sh"],
      cwd: "/",
      apparmorProfile: "cri-containerd.apparmor.d",
      selinuxLabel: "system_u:x",
    },
    hooks: { prestart: [{ path: "/usr/bin/hook" }] },
    domainname: "example.org",
    annotations: {
      "run.oci.seccomp.receiver": "/run/x",
      "org.systemd.property.CPUWeight": "7",
      "io.kubernetes.cri.container-type": "container",
    },
    linux: {
      resources: {
        cpu: { shares: 2, cpus: "0-3", mems: "0", realtimeRuntime: 0 },
        memory: {
          limit: 1 << 20,
          kernel: 1 << 20,
          swappiness: 10,
          disableOOMKiller: false,
          useHierarchy: true,
        },
        blockIO: { weight: 500 },
        network: { classID: 0 },
        unified: { "io.max": "8:0 rbps=1", "memory.high": "1000" },
        hugepageLimits: [
          { pageSize: "2MB", limit: 1 << 21 },
          { pageSize: "1GB", limit: 0 },
          { pageSize: "64KB", limit: 1 << 16 },
        ],
      },
      intelRdt: { closID: "x" },
      timeOffsets: { monotonic: { secs: 7 } },
      mountLabel: "system_u:object_r:x",
    },
  });
  t.deepEqual(spec.linux?.resources, {
    memory: { limit: 1 << 20 },
    cpu: { shares: 2 },
    unified: { "memory.high": "1000" },
    hugepageLimits: [{ pageSize: "2MB", limit: 1 << 21 }],
    devices: [],
  });
  t.deepEqual(
    ignored.map((line) => line.split(":")[0]),
    [
      'AppArmor profile "cri-containerd.apparmor.d"',
      'SELinux label "system_u',
      "memory kernel 1048576",
      "memory swappiness 10",
      'cpu cpus "0-3"',
      'cpu mems "0"',
      "blockIO limits",
      'limit of huge pages of "64KB"',
      'cgroup file "io.max"',
      "hooks",
      'annotation "run.oci.seccomp.receiver"',
      'annotation "org.systemd.property.CPUWeight"',
      'domainname "example.org"',
      "intelRdt",
      "timeOffsets",
      'mount label "system_u',
    ],
  );
  t.false(JSON.stringify(spec).includes("hook"));
});

test("an unconfined profile is none", (t) => {
  t.deepEqual(transform({ process: { args: ["a"], cwd: "/", apparmorProfile: "unconfined" } }).ignored, []);
});

test("a PID namespace is the container's own, shared, or the guest's", (t) => {
  const mounts = [{ destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["rw"] }];
  const of = (namespaces: object[], sharedPids?: string): unknown =>
    transform({ mounts, linux: { namespaces } }, { sharedPids }).spec.linux?.namespaces;
  t.deepEqual(of([{ type: "pid" }], "/proc/7/ns/pid"), [{ type: "pid" }]);
  t.deepEqual(of([{ type: "pid", path: "/proc/1/ns/pid" }], "/proc/7/ns/pid"), [
    { type: "pid", path: "/proc/7/ns/pid" },
  ]);
  t.deepEqual(of([{ type: "mount" }]), [{ type: "mount" }]);
  t.throws(() => of([{ type: "mnt" }]), { message: /namespace "mnt"/ });
});

test("a container sees its own cgroups, on whatever host; one that may write to them sees the guest's", (t) => {
  const of = (options: string[], namespaces: object[] = []): unknown =>
    transform({
      mounts: [{ destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options }],
      linux: { namespaces },
    }).spec.linux?.namespaces;
  t.deepEqual(of(["nosuid", "ro"]), [{ type: "cgroup" }]);
  t.deepEqual(of(["ro"], [{ type: "cgroup" }]), [{ type: "cgroup" }]);
  t.deepEqual(of(["nosuid", "rw"]), []);
  t.deepEqual(transform({ mounts: [] }).spec.linux?.namespaces, [{ type: "cgroup" }]);
});

test("a bind whose source is not in the guest is refused by its destination", (t) => {
  const bind = { destination: "/data", type: "bind", source: "/etc", options: ["rbind"] };
  t.throws(() => transform({ mounts: [bind] }), { message: /cannot mount "\/data".*"\/etc"/ });
  t.throws(() => transform({ mounts: [{ ...bind, type: "none" }] }), { message: /\/data/ });
  t.throws(() => transform({ mounts: [{ destination: "/d", type: "ext4", source: "/dev/sda1" }] }), {
    message: /ext4/,
  });
});

test("mounts in memory, of disks, and left out", (t) => {
  const mounts = [
    { destination: "/cache", type: "bind", source: "/x", options: ["rbind", "rprivate", "ro", "nosuid"] },
    { destination: "/disk", type: "ext4", source: "/dev/sdb", options: ["ro", "context=x"] },
    { destination: "/gone", type: "bind", source: "/y", options: ["rbind"] },
  ];
  const placed = new Map<number, PlacedMount>([
    [0, { kind: "tmpfs", options: ["size=4096", "mode=1777"] }],
    [1, { kind: "bind", path: "/run/tapir/storage/c1:1" }],
    [2, { kind: "skip" }],
  ]);
  t.deepEqual(transform({ mounts }, { mounts: placed }).spec.mounts, [
    {
      destination: "/cache",
      type: "tmpfs",
      source: "tmpfs",
      options: ["ro", "nosuid", "size=4096", "mode=1777"],
    },
    { destination: "/disk", type: "bind", source: "/run/tapir/storage/c1:1", options: ["bind", "ro"] },
  ]);
});

test("devices get the guest's numbers, and only devices that the guest has", (t) => {
  const guestHas = new Map<string, DeviceNode>([
    ["/dev/null", { type: "c", major: 1, minor: 3 }],
    ["/dev/fuse", { type: "c", major: 10, minor: 229 }],
  ]);
  const disks = new Map<string, DeviceNode>([["/dev/xvda", { type: "b", major: 254, minor: 16 }]]);
  const { spec, ignored } = transform(
    {
      linux: {
        devices: [
          { path: "/dev/xvda", type: "b", major: 8, minor: 0, fileMode: 432, uid: 0, gid: 6 },
          { path: "/dev/null", type: "c", major: 1, minor: 3 },
          { path: "/dev/kvm", type: "c", major: 10, minor: 232 },
          { path: "/dev/fuse", type: "b", major: 10, minor: 229 },
          { path: "/dev/fifo", type: "p" },
        ],
        resources: {
          devices: [
            { allow: false, access: "rwm" },
            { allow: true, type: "b", major: 8, minor: 0, access: "rwm" },
            { allow: true, type: "b", major: 254, minor: 0, access: "rwm" },
            { allow: true, type: "c", major: 1, minor: 5, access: "rw" },
            { allow: true, type: "c", major: 10, minor: 232, access: "rw" },
            { allow: true, type: "c", major: 136, access: "rwm" },
            { allow: true, type: "c", major: -1, minor: -1, access: "m" },
          ],
        },
      },
    },
    { disks, device: (path) => guestHas.get(path) },
  );
  t.deepEqual(spec.linux?.devices, [
    { path: "/dev/xvda", type: "b", major: 254, minor: 16, fileMode: 432, uid: 0, gid: 6 },
    { path: "/dev/null", type: "c", major: 1, minor: 3 },
    { path: "/dev/fifo", type: "p" },
  ]);
  t.deepEqual(spec.linux?.resources?.devices, [
    { allow: false, access: "rwm" },
    { allow: true, type: "b", major: 254, minor: 16, access: "rwm" },
    { allow: true, type: "c", major: 1, minor: 5, access: "rw" },
    { allow: true, type: "c", major: 136, access: "rwm" },
    { allow: true, type: "c", major: -1, minor: -1, access: "m" },
  ]);
  t.deepEqual(ignored, [
    'device "/dev/kvm": the guest has none',
    'device "/dev/fuse": the guest has none',
    "device rule b 254:0: these are numbers of the host",
    "device rule c 10:232: these are numbers of the host",
  ]);
});
