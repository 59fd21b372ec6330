import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type OciMount, readOciSpec } from "../../../shim/sandbox/oci.ts";
import { wantedSize } from "../../../shim/sandbox/wanted-size.ts";
import { type HostDevices, planDevices } from "../../../shim/storage/device-plan.ts";
import { isBind, type MountPlan, planMount } from "../../../shim/storage/mount-plan.ts";
import { planRootfs } from "../../../shim/storage/rootfs-plan.ts";
import type { SourceFacts, SourceKind } from "../../../shim/storage/sources.ts";
import { TapirError } from "../../../sys/error.ts";
import type { Target } from "../fuzz.ts";

/** A folder on tmpfs, for the reader of files. */
const directory = mkdtempSync("/dev/shm/tapir-fuzz-");
process.once("exit", () => rmSync(directory, { recursive: true, force: true }));

const KINDS: readonly SourceKind[] = [
  ...(["folder", "file", "socket", "fifo", "block device", "character device"] as const),
];
const FILE_SYSTEMS = ["ext4", "proc", "sysfs", "tmpfs", "hugetlbfs", "nsfs"];
const MOST = 1 << 20;
const START = { vcpus: 1, memoryMiB: 256 };
const NODE: HostDevices = {
  pathOf: (major, minor) => (major < 0 ? undefined : `/dev/${major}-${minor}`),
  isSame: ({ major }) => major === 1,
};

const spec = {
  ociVersion: "1.1.0",
  root: { path: "rootfs", readonly: true },
  process: { args: ["sh"], cwd: "/" },
  mounts: [
    { destination: "/proc", type: "proc", source: "proc", options: ["nosuid"] },
    { destination: "/data", type: "bind", source: "/var/data", options: ["rbind", "rslave", "ro"] },
    { destination: "/dev/shm", type: "bind", source: "/run/shm", options: ["rbind", "rw"] },
    { destination: "/disk", type: "ext4", source: "/dev/sdb", options: ["ro", "rprivate"] },
  ],
  linux: {
    devices: [
      { path: "/dev/fuse", type: "c", major: 10, minor: 229 },
      { path: "/dev/block", type: "b", major: 7, minor: 3 },
    ],
    resources: {
      devices: [
        { allow: false, access: "rwm" },
        { allow: true, type: "b", major: 7, minor: 3, access: "r" },
      ],
      memory: { limit: 1 << 28 },
      cpu: { quota: 150_000, period: 100_000 },
    },
  },
};

/** What a container's spec leads to: mounts, devices, root file system and size of its VM. */
export const containerTarget: Target = {
  name: "OCI spec of a container",
  seeds: [
    Buffer.from(JSON.stringify(spec)),
    Buffer.from(JSON.stringify({ ...spec, mounts: [], linux: { resources: { cpu: { quota: -1 } } } })),
  ],
  words: [
    ...[
      "null",
      "[]",
      "{}",
      "-1",
      "1e999",
      "1e308",
      "1e-300",
      "0.5",
      "true",
      '"__proto__"',
      "9007199254740993",
    ],
    ...[
      '"rshared",',
      '"ro",',
      '"rro",',
      '"rw",',
      '"bind",',
      '"../../.."',
      '"/dev/shm"',
      '"uidMappings":[{}],',
    ],
    ...['"type":"a",', '"type":"b",', '"access":"rwm",', '"major":-1,', '"period":1e-300,', '"quota":1e308,'],
  ],
  run(input) {
    writeFileSync(join(directory, "config.json"), input);
    const oci = readOciSpec(directory);
    for (const mount of oci.mounts) {
      if (!isBind(mount)) checkPlan(mount, undefined, planMount(mount, undefined));
      else for (const facts of allFacts(mount.source)) checkBind(mount, facts);
    }
    const rootfs = oci.mounts.map(({ destination, ...mount }) => ({ ...mount, target: destination }));
    for (const parts of [[], rootfs.slice(0, 1), rootfs])
      unlessRefused(() =>
        planRootfs({ containerId: "c", bundle: "/bundle", rootfs: parts, rootPath: oci.rootPath }),
      );
    for (const disk of planDevices(oci, NODE)) {
      const named = oci.devices.some(
        ({ type, path, major, minor }) =>
          type === "b" && path === disk.path && major === disk.major && minor === disk.minor,
      );
      if (!named) throw new Error(`a disk that nobody asked for: ${JSON.stringify(disk)}`);
      if (!disk.readOnly && !oci.deviceRules.some(({ allow }) => allow))
        throw new Error(`a disk is writable, and no rule allows it: ${JSON.stringify(disk)}`);
    }
    const { vcpus, memoryMiB } = wantedSize(START, [oci.limits]);
    // However much is wanted, a VM gets no more than it can have.
    for (const size of [Math.min(vcpus, MOST), Math.min(memoryMiB, MOST)])
      if (!Number.isSafeInteger(size) || size < 1) throw new Error(`a size of ${vcpus}, ${memoryMiB}`);
  },
};

/** Everything that may be at the source. */
function allFacts(path: string): SourceFacts[] {
  return KINDS.flatMap((kind) =>
    FILE_SYSTEMS.flatMap((fileSystem) =>
      [true, false].map((hasMounts) => {
        const identity = { device: 1n, inode: 2n };
        return { path, kind, identity, fileSystem, hasMounts, memory: undefined };
      }),
    ),
  );
}

function checkBind(mount: OciMount, facts: SourceFacts): void {
  const plan = unlessRefused(() => planMount(mount, facts));
  if (plan !== undefined) checkPlan(mount, facts, plan);
}

/** What no spec may come to. */
function checkPlan(mount: OciMount, facts: SourceFacts | undefined, plan: MountPlan): void {
  const wrong = (what: string): Error =>
    new Error(`${what}: ${JSON.stringify([mount, plan])} of ${facts?.kind} on ${facts?.fileSystem}`);
  if (facts === undefined) {
    if (plan.kind !== "guest" && plan.kind !== "disk") throw wrong("what is no bind is shared");
    return;
  }
  if (plan.kind === "disk") throw wrong("a folder became a disk");
  if (plan.kind !== "share") return;
  if (facts.kind !== "folder" && facts.kind !== "file") throw wrong("neither folder nor file is shared");
  if (["proc", "sysfs", "nsfs"].includes(facts.fileSystem)) throw wrong("the host's kernel is shared");
  if (plan.identity !== facts.identity || plan.source !== mount.source)
    throw wrong("another source is shared");
  const word = mount.options.findLast((option) => option === "ro" || option === "rw");
  if ((word === "ro" || mount.options.includes("rro")) && plan.readOnly === "no")
    throw wrong("what is read-only can be written");
}

function unlessRefused<T>(plan: () => T): T | undefined {
  try {
    return plan();
  } catch (error) {
    if (error instanceof TapirError) return undefined;
    throw error;
  }
}
