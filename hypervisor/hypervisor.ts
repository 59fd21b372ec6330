import type { Deadline } from "../sys/deadline.ts";
import type { Ledger } from "../sys/ledger.ts";

/** What a VM is made of. Complete: whoever builds it has resolved every default. */
export interface VmSpec {
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
  /** Free pcie-root-ports for later hot-plug. */
  readonly rootPorts: number;
  /** Appended to the built-in kernel command line. */
  readonly kernelParameters: readonly string[];
  readonly nics: readonly VmNic[];
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

/** A VM that runs. It is in the ledger: unwinding kills what `stop` did not end. */
export interface Vm {
  readonly pid: number;
  /** Unix socket of the agent's virtio-serial port: a plain gRPC target. */
  readonly agentSocket: string;
  /** Resolves, never rejects, once QEMU is gone and reaped. */
  readonly exited: Promise<VmExit>;
  /** The last lines of the guest's console, for errors. */
  consoleTail(): string;
  /** Asks QEMU to quit, kills it when it does not by the deadline. Idempotent. */
  stop(deadline: Deadline): Promise<void>;
}

/** Why QEMU ended. */
export interface VmExit {
  readonly code: number | undefined;
  readonly signal: string | undefined;
  /** Set when the guest kernel panicked before. */
  readonly guestPanicked: boolean;
  readonly stderrTail: string;
}

export interface Hypervisor {
  /** Resolves when QEMU accepted its command line and answers QMP; the guest is booting then. */
  start(spec: VmSpec, ledger: Ledger, deadline: Deadline): Promise<Vm>;
}
