import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { OciMount } from "../sandbox/oci.ts";
import { DISK_FILE_SYSTEMS } from "./disk-file-systems.ts";
import type { FileIdentity, MemoryFacts, SourceFacts } from "./sources.ts";

/** How a mount of the OCI spec gets into the guest. */
export type MountPlan =
  /** The guest has it, or makes it: proc, sysfs, a tmpfs, the pod's /dev/shm. */
  | { readonly kind: "guest" }
  /** A folder or file of the host, through the share. */
  | ({ readonly kind: "share"; readonly hostReadOnly: boolean } & SharedSource)
  /** A tmpfs in the guest that belongs to the pod: what is in memory stays in the guest's. */
  | { readonly kind: "memory"; readonly volume: MemoryFacts }
  /** A file system on a block device or in a file, mounted in the guest. */
  | {
      readonly kind: "disk";
      readonly source: string;
      readonly fileSystem: string;
      readonly options: readonly string[];
    };

export interface SharedSource {
  readonly source: string;
  /** What was judged: anything else at that place is not shared. Not set: whatever is there. */
  readonly identity?: FileIdentity;
  /** With what is mounted below it. */
  readonly recursive: boolean;
  /** Of the topmost mount, or of all. */
  readonly readOnly: "no" | "top" | "all";
  /** Whether what the host mounts below it later is seen. */
  readonly propagation: "private" | "slave";
}

/** The kernel's windows: those of the host are not for guests, and a guest has its own. */
const KERNEL_FILE_SYSTEMS = [
  ...["proc", "sysfs", "cgroup", "cgroup2", "devtmpfs", "devpts", "debugfs", "tracefs", "securityfs"],
  ...["bpf", "configfs", "efivarfs", "pstore", "fusectl", "binfmt_misc", "nsfs"],
];

/** Whether the mount shows something of the host, of which `planMount` needs the facts. */
export function isBind({ type, options }: OciMount): boolean {
  return type === "bind" || options.includes("bind") || options.includes("rbind");
}

/** Pure. `facts` are those of a bind's source. Errors: FAILED_PRECONDITION for what a VM cannot have, with the way out. */
export function planMount(mount: OciMount, facts: SourceFacts | undefined): MountPlan {
  const { type, source, options } = mount;
  if (facts === undefined) {
    return DISK_FILE_SYSTEMS.includes(type)
      ? {
          kind: "disk",
          source,
          fileSystem: type,
          options: options.filter((option) => !isPropagation(option)),
        }
      : { kind: "guest" };
  }
  if (facts.memory !== undefined) return { kind: "memory", volume: facts.memory };
  if (mount.destination === "/dev/shm" && facts.fileSystem === "tmpfs") return { kind: "guest" };
  const fault = faultOf(mount, facts);
  if (fault !== undefined) throw refusal(mount, ...fault);
  const readOnly = options.includes("rro") ? "all" : isReadOnly(options) ? "top" : "no";
  const propagation = options.some((option) => /^r?slave$/.test(option)) ? "slave" : "private";
  const recursive = options.includes("rbind") || !options.includes("bind");
  // In the guest all of it is one mount: what is or will be mounted below would be read-only, too.
  const mayHaveMounts = (recursive && facts.hasMounts) || propagation === "slave";
  const hostReadOnly = readOnly === "top" && mayHaveMounts;
  return { kind: "share", source, identity: facts.identity, recursive, readOnly, hostReadOnly, propagation };
}

/** Why a source cannot be shared, and what to do instead. */
function faultOf({ options, idMapped }: OciMount, facts: SourceFacts): [string, string] | undefined {
  if (options.some((option) => /^r?shared$/.test(option))) {
    return [
      "what is mounted in the guest cannot appear on the host (Bidirectional, rshared)",
      "use HostToContainer (rslave) or None",
    ];
  }
  if (idMapped) return ["ids cannot be mapped across the share", "leave out hostUsers: false"];
  if (KERNEL_FILE_SYSTEMS.includes(facts.fileSystem)) {
    return [
      `it is ${facts.fileSystem} of the host's kernel, and the pod has one of its own`,
      "leave the mount out; to see the host's, use the runtime class of runc",
    ];
  }
  if (facts.fileSystem === "hugetlbfs") {
    return ["huge pages of the host do not reach into the guest", "use an emptyDir without them"];
  }
  switch (facts.kind) {
    case "folder":
    case "file":
      return undefined;
    case "block device":
      return ["it is a block device", "use volumeDevices (linux.devices of the OCI spec)"];
    default:
      return [
        `it is a ${facts.kind}, whose other end is on the host`,
        "reach the host over the network; to share the node's, use the runtime class of runc",
      ];
  }
}

/** The last word counts, as for mount(8). */
function isReadOnly(options: readonly string[]): boolean {
  return options.lastIndexOf("ro") > options.lastIndexOf("rw");
}

function isPropagation(option: string): boolean {
  return /^r?(private|shared|slave|unbindable)$/.test(option);
}

function refusal({ destination, source }: OciMount, cause: string, hint: string): TapirError {
  return new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "mount",
    object: `${source} on ${destination}`,
    cause,
    hint,
  });
}
