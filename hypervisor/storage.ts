import type { Deadline } from "../sys/deadline.ts";
import type { Ledger } from "../sys/ledger.ts";

/** Storage that a VM is given, and gives back, while it runs. */
export interface VmStorage {
  /**
   * Starts a server for the folder and plugs the share; resolves when the guest has been told of it. The server is in the
   * ledger. Errors: FAILED_PRECONDITION (no server found, the VM's memory is private), RESOURCE_EXHAUSTED (no port), what the
   * server or QEMU says: nothing stays then.
   */
  attachShare(share: ShareSpec, ledger: Ledger, deadline: Deadline): Promise<VmShare>;
  /**
   * Plugs a disk. The caller keeps its descriptor and may close it.
   * Errors: RESOURCE_EXHAUSTED (no port), ALREADY_EXISTS, QEMU's refusal (somebody else writes to the file): nothing stays then.
   */
  attachDisk(disk: VmDisk, deadline: Deadline): Promise<void>;
  /** Takes a disk out once the guest has let go; one that is not there is no error. May be tried again. */
  detachDisk(id: string, deadline: Deadline): Promise<void>;
}

/** A folder of the host for the guest. */
export interface ShareSpec {
  /** QEMU id, unique within the VM: letters, digits, "-". */
  readonly id: string;
  /** By which the guest mounts it: 1 to 36 bytes. */
  readonly tag: string;
  /** Absolute; the guest gets at nothing outside it. */
  readonly directory: string;
  /** The virtiofsd binary; "" takes the one that is installed. */
  readonly server: string;
  /** What the guest may remember of the host's files: "auto" for a second, "none", "always" for ever. */
  readonly cache: ShareCache;
}

export type ShareCache = "auto" | "none" | "always";

export interface VmShare {
  /** Pid of the server. */
  readonly pid: number;
  /**
   * Resolves, never rejects, with why the server ended: the guest's calls to the share hang from then on. Also after `detach`
   * and the end of the VM.
   */
  readonly ended: Promise<string>;
  /** Takes the share out, which ends its server. The guest must have unmounted it. May be tried again. */
  detach(deadline: Deadline): Promise<void>;
}

/** A disk whose file or block device this process has open. */
export interface VmDisk {
  /** QEMU id, unique within the VM: letters, digits, "-". */
  readonly id: string;
  /** By which the guest finds it: 1 to 20 letters, digits, "_", "." and "-". */
  readonly serial: string;
  /** Open for writing unless `readOnly`. */
  readonly fd: number;
  readonly readOnly: boolean;
}
