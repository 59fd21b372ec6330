import { boolean, choice, globs, integer, type Key, path, patterns, type Value, words } from "./key.ts";

/**
 * Every key of `configuration.toml`, in the order in which the committed file and `docs/configuration.md` show it.
 * The type `Configuration`, the checks, the file and the page all come from this table: add a key here and nowhere else.
 */
export const schema = {
  hypervisor: {
    qemu: {
      path: path({
        default: "/usr/bin/qemu-system-x86_64",
        doc: "The QEMU binary.",
      }),
      kernel: path({
        default: "/usr/share/tapir/vmlinuz",
        doc: "Kernel of the guest.",
      }),
      initramfs: path({
        default: "/usr/share/tapir/initramfs.cpio",
        doc: "Initial file system of the guest: loads the modules that find the root image.",
        kata: "initrd",
      }),
      image: path({
        default: "/usr/share/tapir/root.erofs",
        doc: "Root image of the guest (erofs, never written to).",
      }),
      image_driver: choice({
        values: ["virtio-pmem", "virtio-blk"],
        default: "virtio-pmem",
        doc: "How the guest sees its root image: shared by all pods through the host's page cache, or as a disk.",
        kata: "disable_image_nvdimm",
      }),
      accelerator: choice({
        values: ["auto", "kvm", "tcg"],
        default: "auto",
        doc: "What runs the guest's instructions: auto takes KVM where it works, else QEMU's own translator (slow).",
      }),
      default_vcpus: integer({
        default: 1,
        minimum: 1,
        maximum: 240,
        doc: "vCPUs of a pod's VM.",
      }),
      default_maxvcpus: integer({
        default: 0,
        minimum: 0,
        maximum: 240,
        doc: "vCPUs that it may have with those that its containers' limits ask for; 0: as many as the machine.",
      }),
      default_memory_mib: integer({
        default: 256,
        minimum: 64,
        maximum: 1_048_576,
        unit: "MiB",
        doc: "Memory of a pod's VM.",
        kata: "default_memory",
      }),
      default_maxmemory_mib: integer({
        default: 0,
        minimum: 0,
        maximum: 1_048_576,
        unit: "MiB",
        doc: "Memory that it may have with what its containers' limits ask for; 0: as much as the machine.",
        kata: "default_maxmemory",
      }),
      pcie_root_ports: integer({
        default: 8,
        minimum: 0,
        // A machine has room for 26 (hypervisor/qemu/topology.ts); one is the NIC's that a pod starts with.
        maximum: 25,
        doc: "Free PCIe ports of a VM, one for each device that is plugged in later.",
        kata: "pcie_root_port",
      }),
      kernel_params: words({
        default: [],
        maximumLength: 1024,
        doc: "Appended to the guest's kernel command line.",
      }),
      disable_vhost_net: boolean({
        default: false,
        doc: "Let QEMU move the packets even where the host has vhost-net.",
      }),
      virtiofsd: path({
        default: "",
        optional: true,
        doc: "The server of the folders that containers see, in C or Rust; empty takes the installed one.",
        kata: "virtio_fs_daemon",
        nodeWide: true,
      }),
      shared_fs_cache: choice({
        values: ["auto", "none", "always"],
        default: "auto",
        doc: "What the guest remembers of the host's files: auto for a second, none nothing, always until it needs the memory.",
        kata: "virtio_fs_cache",
      }),
      tcg_tb_size_mib: integer({
        default: 32,
        minimum: 16,
        maximum: 2047,
        unit: "MiB",
        doc: "Without KVM: room for the translated code of a VM that was restored. 64 halves what a container's start takes.",
      }),
      tcg_timeout_factor: integer({
        default: 4,
        minimum: 1,
        maximum: 100,
        doc: "Every timeout below is multiplied by this when there is no KVM.",
      }),
    },
  },
  factory: {
    template: boolean({
      default: true,
      doc: "Restore pods' VMs from a saved guest instead of booting each: ten times faster. Pods share its kernel's address layout.",
      kata: "enable_template",
    }),
    path: path({
      default: "/run/tapir-factory",
      doc: "Where saved guests are kept: on tmpfs, which is mounted there when it is not.",
      nodeWide: true,
      kata: "template_path",
    }),
    memory: choice({
      values: ["copy", "cow"],
      default: "copy",
      doc: "A pod's memory: a copy of the saved guest's, or shared with it until written (no virtio-fs then).",
    }),
    attach: choice({
      values: ["auto", "cold", "warm", "hot"],
      default: "auto",
      doc: "How a NIC comes: cold boots the VM with it, warm takes the place of the saved guest's, hot is plugged in; auto: warm.",
    }),
    cache_size: integer({
      default: 0,
      minimum: 0,
      maximum: 64,
      doc: "How many restored guests `tapir factory serve` keeps ready for pods; 0: pods do not ask it. Each takes its memory.",
      kata: "vm_cache_number",
    }),
    cache_socket: path({
      default: "/run/tapir/cache.sock",
      doc: "Where it hands them over: in a directory that only root may enter.",
      nodeWide: true,
      kata: "vm_cache_endpoint",
    }),
  },
  network: {
    internetworking_model: choice({
      values: ["tcfilter", "macvtap", "none"],
      default: "tcfilter",
      doc: "How a pod's network reaches its VM: tc redirects between its links and taps, macvtaps on its links, or not at all.",
    }),
    disable_new_netns: boolean({
      default: false,
      doc: "Pods may be in the node's network namespace (hostNetwork); only with the model none: their VMs have no NIC.",
    }),
    rx_rate_limiter_max_rate: integer({
      default: 0,
      minimum: 0,
      maximum: 1_000_000_000_000,
      unit: "bit/s",
      doc: "How fast each NIC of a pod may receive; 0: no limit.",
    }),
    tx_rate_limiter_max_rate: integer({
      default: 0,
      minimum: 0,
      maximum: 1_000_000_000_000,
      unit: "bit/s",
      doc: "How fast each NIC of a pod may send; 0: no limit.",
    }),
    monitor: boolean({
      default: true,
      doc: "Changes in the pod's network namespace reach its running VM: links, addresses, routes, rules, neighbours, MTU.",
    }),
  },
  runtime: {
    state_dir: path({
      default: "/run/tapir",
      doc: "Where pods keep their state (tmpfs, root only).",
      nodeWide: true,
    }),
    debug: boolean({
      default: false,
      doc: "Log every step of a pod's life to containerd's log.",
      kata: "enable_debug",
    }),
    create_timeout_seconds: integer({
      default: 30,
      minimum: 1,
      maximum: 3600,
      unit: "s",
      doc: "A pod that is not up by then is taken down again.",
      kata: "create_container_timeout",
    }),
    stop_timeout_seconds: integer({
      default: 2,
      minimum: 1,
      maximum: 600,
      unit: "s",
      doc: "A QEMU that is told to end and has not ended by then is killed.",
    }),
    enable_annotations: patterns({
      default: [],
      doc: "Keys that a pod's annotation io.tapir.config.<section>.<key> may change: names or regular expressions.",
      nodeWide: true,
    }),
    valid_annotation_paths: globs({
      default: [],
      doc: "Files that such an annotation may name for a key that holds a path.",
      kata: "valid_hypervisor_paths",
      nodeWide: true,
    }),
  },
  agent: {
    dial_timeout_seconds: integer({
      default: 15,
      minimum: 1,
      maximum: 3600,
      unit: "s",
      doc: "The agent in the guest must answer within this time after QEMU's start.",
      kata: "dial_timeout",
    }),
    request_timeout_seconds: integer({
      default: 5,
      minimum: 1,
      maximum: 3600,
      unit: "s",
      doc: "Every other question to the agent must be answered within this time.",
    }),
  },
} as const satisfies Section;

/** A table of the file: keys and further tables. */
export interface Section {
  readonly [name: string]: Key | Section;
}

type CamelCase<Name> = Name extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Name;

type ConfigurationOf<Table> = Table extends Key
  ? Table["default"]
  : { readonly [Name in keyof Table as CamelCase<Name>]: ConfigurationOf<Table[Name]> };

/** The configuration of a pod, complete: `configuration.hypervisor.qemu.defaultMemoryMib`. */
export type Configuration = ConfigurationOf<typeof schema>;

/** A key with its place. */
export interface SchemaKey {
  /** "hypervisor.qemu" */
  readonly section: string;
  /** "default_vcpus" */
  readonly name: string;
  /** "hypervisor.qemu.default_vcpus" */
  readonly path: string;
  readonly key: Key;
}

export function isKey(entry: Key | Section): entry is Key {
  return typeof entry.kind === "string";
}

function* keysOf(table: Section, section: string): Generator<SchemaKey> {
  for (const [name, entry] of Object.entries(table)) {
    const place = section === "" ? name : `${section}.${name}`;
    if (isKey(entry)) yield { section, name, path: place, key: entry };
    else yield* keysOf(entry, place);
  }
}

/** All keys by path, in the order of the table. */
export const schemaKeys: ReadonlyMap<string, SchemaKey> = new Map(
  [...keysOf(schema, "")].map((entry) => [entry.path, entry]),
);

/** The name that a section or key has in `Configuration`. */
export function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** Builds the complete record from checked values by path; keys that are not among them get their default. */
export function assemble(values: ReadonlyMap<string, Value>): Configuration {
  const build = (table: Section, section: string): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(table).map(([name, entry]) => {
        const place = section === "" ? name : `${section}.${name}`;
        return [camelCase(name), isKey(entry) ? (values.get(place) ?? entry.default) : build(entry, place)];
      }),
    );
  // The type follows the same table, and every value was checked against its key.
  return build(schema, "") as Configuration;
}
