/**
 * The QMP commands Tapir uses, with arguments and answers as far as it looks at them.
 * All exist since QEMU 5.0 unless noted (QEMU's QMP reference manual).
 */
export interface QmpCommands {
  qmp_capabilities: { arguments: { enable?: readonly string[] }; returns: unknown };
  "query-status": { arguments: undefined; returns: { readonly status: string; readonly running: boolean } };
  "migrate-set-capabilities": {
    arguments: { capabilities: readonly { readonly capability: string; readonly state: boolean }[] };
    returns: unknown;
  };
  /** Both answer at once; MIGRATION events say how it went when the capability "events" is on. */
  migrate: { arguments: { uri: string }; returns: unknown };
  "migrate-incoming": { arguments: { uri: string }; returns: unknown };
  "query-migrate": { arguments: undefined; returns: { readonly "error-desc"?: string } };
  quit: { arguments: undefined; returns: unknown };
  stop: { arguments: undefined; returns: unknown };
  cont: { arguments: undefined; returns: unknown };
  /** Takes exactly one descriptor by SCM_RIGHTS. A name that exists is replaced; it must not start with a digit. */
  getfd: { arguments: { fdname: string }; returns: unknown };
  /** Closes a named descriptor; netdev_add takes its own copies out of the table, so only unused ones remain. */
  closefd: { arguments: { fdname: string }; returns: unknown };
  netdev_add: { arguments: TapNetdev; returns: unknown };
  netdev_del: { arguments: { id: string }; returns: unknown };
  /** Put a descriptor named by `getfd` to use, and give it back. A chardev that a device uses cannot be removed. */
  "chardev-add": { arguments: { id: string; backend: SocketBackend }; returns: unknown };
  "chardev-remove": { arguments: { id: string }; returns: unknown };
  /** Takes exactly one descriptor by SCM_RIGHTS into a set, which block devices open as `/dev/fdset/<id>`. */
  "add-fd": { arguments: { "fdset-id": number; opaque: string }; returns: unknown };
  /** Closes a set once nothing uses it any more. */
  "remove-fd": { arguments: { "fdset-id": number }; returns: unknown };
  "blockdev-add": { arguments: RawBlockNode; returns: unknown };
  "blockdev-del": { arguments: { "node-name": string }; returns: unknown };
  device_add: { arguments: DeviceArguments; returns: unknown };
  /** Answers at once; the device is gone with DEVICE_DELETED. */
  device_del: { arguments: { id: string }; returns: unknown };
  /** Since QEMU 7.2. */
  "x-query-virtio-queue-status": {
    arguments: { path: string; queue: number };
    returns: { readonly "used-idx": number };
  };
  "object-add": { arguments: MemoryBackend; returns: unknown };
  "object-del": { arguments: { id: string }; returns: unknown };
  "qom-set": { arguments: { path: string; property: string; value: number }; returns: unknown };
  "query-hotpluggable-cpus": { arguments: undefined; returns: readonly CpuSlot[] };
  "query-pci": { arguments: undefined; returns: readonly PciBus[] };
  "qom-list": {
    arguments: { path: string };
    returns: readonly { readonly name: string; readonly type: string }[];
  };
}

export type QmpCommandName = keyof QmpCommands;

export interface TapNetdev {
  readonly type: "tap";
  readonly id: string;
  /** Names given to `getfd`, joined with ":". */
  readonly fds: string;
  readonly vhost?: boolean;
  readonly vhostfds?: string;
}

export interface SocketBackend {
  readonly type: "socket";
  readonly data: {
    readonly addr: { readonly type: "fd"; readonly data: { readonly str: string } };
    readonly server: boolean;
  };
}

export interface RawBlockNode {
  readonly driver: "raw";
  readonly "node-name": string;
  readonly "read-only": boolean;
  readonly discard: "unmap" | "ignore";
  readonly file: {
    readonly driver: "file" | "host_device";
    readonly filename: string;
    readonly locking: "auto" | "off";
    readonly discard: "unmap" | "ignore";
  };
}

export interface MemoryBackend {
  readonly "qom-type": "memory-backend-memfd";
  readonly id: string;
  /** Bytes. */
  readonly size: number;
  readonly share: boolean;
}

/** A place for a vCPU; a taken one has a path. */
export interface CpuSlot {
  readonly type: string;
  readonly props: { readonly [place: string]: number };
  readonly "qom-path"?: string;
}

export type DevicePropertyValue = string | number | boolean;
export type DeviceArguments = { readonly driver: string } & {
  readonly [property: string]: DevicePropertyValue;
};

export interface PciBus {
  readonly bus: number;
  readonly devices: readonly PciDevice[];
}

export interface PciDevice {
  readonly qdev_id: string;
  readonly slot: number;
  readonly pci_bridge?: { readonly devices?: readonly PciDevice[] };
}
