import { isAbsolute } from "node:path";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { type DnsSettings, readResolvConf } from "./dns.ts";
import { type PodGroup, podGroup } from "./group.ts";
import { type OciSpec, readOciSpec } from "./oci.ts";
import { sharedMemoryBytes } from "./shared-memory.ts";

/** Everything a bundle says about its sandbox. */
export interface SandboxSpec {
  readonly id: string;
  /** containerd's namespace: "k8s.io". */
  readonly namespace: string;
  /** Absolute path of the bundle. */
  readonly bundle: string;
  readonly kind: Exclude<PodGroup["kind"], "container">;
  readonly hostname: string;
  /** Path of the netns that CNI has prepared; undefined for a container on its own that has none yet. */
  readonly netns: string | undefined;
  /** It names no network namespace: it would be in the caller's. */
  readonly hostNetwork: boolean;
  /** Settings of the pod's kernel. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** Of the pod's /dev/shm; 0: the usual size. */
  readonly shmBytes: bigint;
  /** As in the OCI spec. */
  readonly cgroupsPath: string;
  readonly dns: DnsSettings;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Reads the bundle of a sandbox. Throws INVALID_ARGUMENT or NOT_FOUND, with the way out. */
export function readSandboxSpec(id: string, namespace: string, bundle: string): SandboxSpec {
  const oci = readOciSpec(bundle);
  const group = podGroup(id, oci.annotations);
  if (group.kind === "container") {
    throw new TapirError({
      code: Code.INVALID_ARGUMENT,
      operation: "create",
      object: `sandbox ${id}`,
      cause: `its bundle is that of a container of sandbox ${group.sandboxId}`,
    });
  }
  return {
    id,
    namespace,
    bundle,
    kind: group.kind,
    hostname: oci.hostname,
    netns: networkNamespace(id, oci, group.kind),
    hostNetwork: oci.namespaces.every(({ type }) => type !== "network"),
    sysctls: oci.sysctls,
    shmBytes: sharedMemoryBytes(oci.mounts),
    cgroupsPath: oci.cgroupsPath,
    dns: readResolvConf(oci.mounts),
    annotations: oci.annotations,
  };
}

function networkNamespace(id: string, oci: OciSpec, kind: PodGroup["kind"]): string | undefined {
  const network = oci.namespaces.find(({ type }) => type === "network");
  const refuse = (cause: string, hint: string): TapirError =>
    new TapirError({
      code: Code.INVALID_ARGUMENT,
      operation: "create",
      object: `sandbox ${id}`,
      cause,
      hint,
    });
  if (network === undefined) return undefined;
  if (network.path === "") {
    // A new one: that of its task, into which whoever runs it may put something.
    if (kind === "single") return undefined;
    throw refuse(
      "the network namespace of its OCI spec has no path",
      "start it through CRI (crictl, kubelet), which prepares one",
    );
  }
  if (!isAbsolute(network.path)) {
    throw refuse(
      `the path of its network namespace, ${JSON.stringify(network.path)}, is not absolute`,
      "give it from /",
    );
  }
  return network.path;
}
