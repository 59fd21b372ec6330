import type { Deadline } from "../sys/deadline.ts";
import type { Ledger } from "../sys/ledger.ts";
import type { VmSize, VmSizing } from "./size.ts";
import type { VmStorage } from "./storage.ts";

/** What a VM is made of. Complete: whoever builds it has resolved every default. */
export interface VmSpec extends VmShape {
  readonly nics: readonly VmNic[];
}

/** A VM whose NICs are still being made. */
export interface VmPlan extends VmShape {
  /** What its first NIC will be like, if it gets one; not set: a template has none, and all are plugged in. */
  readonly firstNic: { readonly queues: number; readonly vhost: boolean } | undefined;
}

interface VmShape {
  /** Names the VM in `ps` and in errors. */
  readonly name: string;
  /** State directory of the sandbox (exists, 0700): sockets and the console log go here. */
  readonly directory: string;
  readonly qemu: string;
  readonly kernel: string;
  readonly initramfs: string;
  /** erofs image of the guest's root file system, read-only. */
  readonly image: string;
  readonly imageDriver: "virtio-pmem" | "virtio-blk";
  readonly accelerator: "kvm" | "tcg";
  readonly vcpus: number;
  readonly memoryMiB: number;
  /** What it may grow to while it runs; not set: it stays as it starts. */
  readonly most?: VmSize | undefined;
  /** Free pcie-root-ports for later hot-plug. */
  readonly rootPorts: number;
  /** MiB that QEMU's translated code may take when the VM is restored, without KVM; not set: 32. */
  readonly restoredTbSizeMiB?: number;
  /** Appended to the built-in kernel command line. */
  readonly kernelParameters: readonly string[];
  /** Folders of the cgroups that its processes join; none: they stay in this process's. */
  readonly cgroups?: readonly string[];
  /** Milliseconds that QEMU has to end when it is asked to, before it is killed; not set: two seconds. */
  readonly quitMs?: number;
}

/** A NIC with its tap already open in this process. */
export interface VmNic {
  /** QEMU id, unique within the VM: letters, digits, "-". */
  readonly id: string;
  readonly mac: string;
  /** One tap descriptor per queue. */
  readonly tapFds: readonly number[];
  /** As many as tapFds, or none where the host has no vhost-net. */
  readonly vhostFds: readonly number[];
}

/** A device of the node that vfio-pci has. */
export interface VmHostDevice {
  /** QEMU id, unique within the VM: letters, digits, "-". */
  readonly id: string;
  /** On the node's PCI bus: "0000:01:00.0". */
  readonly address: string;
  /** Its IOMMU group. */
  readonly group: string;
}

/** A VM that runs. It is in the ledger: unwinding kills what `stop` did not end. */
export interface Vm {
  readonly pid: number;
  /** Unix socket of the agent's virtio-serial port: a plain gRPC target. */
  readonly agentSocket: string;
  /** Resolves, never rejects, once QEMU is gone and reaped. */
  readonly exited: Promise<VmExit>;
  /** The last lines of the guest's console, for errors. */
  consoleTail(): string;
  /** NICs that come and go while the guest runs, those it started with included. */
  readonly nics: VmNics;
  /** Devices of the node that come and go while the guest runs. */
  readonly hostDevices: VmHostDevices;
  /** Folders and disks that come and go while the guest runs. */
  readonly storage: VmStorage;
  /** CPUs and memory that come and go while the guest runs. */
  readonly sizing: VmSizing;
  /** Set when the guest did not boot but was restored from a template. */
  readonly restored?: RestoredGuest | undefined;
  /** Asks QEMU to quit, kills it when it does not within the spec's `quitMs` or by the deadline. Idempotent. */
  stop(deadline: Deadline): Promise<void>;
}

export interface VmNics {
  /** Plugs a NIC in; the caller keeps its descriptors and may close them. Errors: RESOURCE_EXHAUSTED (no port), ALREADY_EXISTS. */
  attach(nic: VmNic, deadline: Deadline): Promise<void>;
  /** Resolves when the guest has let go and the descriptors are closed. A NIC that is not there is no error. */
  detach(id: string, deadline: Deadline): Promise<void>;
  /** How far the NIC's queues are, all pairs together; undefined when QEMU cannot tell, or does not see them (vhost-net). */
  queueProgress(
    nic: Pick<VmNic, "id" | "tapFds" | "vhostFds">,
    deadline: Deadline,
  ): Promise<QueueProgress | undefined>;
}

export interface VmHostDevices {
  /** Plugs a device in. Errors: as for NICs; QEMU's refusal. */
  attach(device: VmHostDevice, deadline: Deadline): Promise<void>;
  /** Resolves when guest and QEMU have let go. A device that is not there is no error. */
  detach(id: string, deadline: Deadline): Promise<void>;
  /** PCI address of the port that a device is behind, in the guest. */
  portOf(id: string): string | undefined;
}

/** Buffers that came back to the guest, modulo 65536. */
export interface QueueProgress {
  readonly received: number;
  readonly sent: number;
}

/** Why QEMU ended. */
export interface VmExit {
  readonly code: number | undefined;
  readonly signal: string | undefined;
  /** Set when the guest kernel panicked before. */
  readonly guestPanicked: boolean;
  readonly stderrTail: string;
}

/** What whoever talks to a restored guest must know. */
export interface RestoredGuest {
  /** MAC under which the guest knows a NIC, by the NIC's id, where that is not the NIC's own. */
  readonly hardwareMacs: ReadonlyMap<string, string>;
  /** The same moment on the guest's CLOCK_MONOTONIC and on the host's wall clock. */
  readonly clock: { readonly monotonicNanoseconds: bigint; readonly unixNanoseconds: bigint };
  /** To be called when the guest answers. */
  trust?(): void;
  /**
   * To be called when the guest turns out to be of no use: nobody is to be restored from the same template again. One that was
   * late is held against it only with a second one in a row: a busy machine does that, too.
   */
  distrust?(reason: unknown): void;
}

export interface Hypervisor {
  /**
   * Starts a VM; what does not need the NICs is done before they are there. Resolves when the guest boots or runs. The NICs'
   * descriptors stay the caller's, who may close them then. When it rejects, `nics` may still be pending.
   */
  start(plan: VmPlan, nics: Promise<readonly VmNic[]>, ledger: Ledger, deadline: Deadline): Promise<Vm>;
}
