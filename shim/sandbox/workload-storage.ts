import type {
  DeviceSource,
  MountSource,
  Storage,
  StoragePath,
} from "../../proto/gen/tapir/agent/v1/container.ts";
import type { Deadline } from "../../sys/deadline.ts";
import type { OciSpec } from "./oci.ts";

/** One mount as containerd hands it over. */
export interface RootfsMount {
  readonly type: string;
  readonly source: string;
  readonly target: string;
  readonly options: readonly string[];
}

/** What a container needs to see of the host. */
export interface StorageRequest {
  readonly containerId: string;
  readonly bundle: string;
  /** Stacked in order on the rootfs; none: the bundle holds it already. */
  readonly rootfs: readonly RootfsMount[];
  readonly spec: OciSpec;
}

/** Where the guest finds it: for CreateContainer. */
export interface ContainerStorage {
  readonly storages: Storage[];
  readonly rootfs: StoragePath;
  readonly mountSources: MountSource[];
  readonly deviceSources: DeviceSource[];
  /** Gives it back; the guest has let go of it, or is gone. May be tried again. */
  release(deadline: Deadline): Promise<void>;
}

/** Brings what containers see of the host into the guest. What it acquires is in the pod's ledger. */
export interface WorkloadStorage {
  /** When it rejects, nothing of it stays. */
  prepare(request: StorageRequest, deadline: Deadline): Promise<ContainerStorage>;
}
