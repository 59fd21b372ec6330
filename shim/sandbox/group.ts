import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";

/** Which pod a bundle belongs to, from the annotations of its OCI spec. */
export interface PodGroup {
  readonly kind: "sandbox" | "container" | "single";
  /** Id of the sandbox whose shim serves it: its own id unless it is a container of a pod. */
  readonly sandboxId: string;
}

interface Dialect {
  readonly type: string;
  readonly sandboxId: string;
  readonly sandboxValue: string;
}

const DIALECTS: readonly Dialect[] = [
  // containerd's CRI plugin
  {
    type: "io.kubernetes.cri.container-type",
    sandboxId: "io.kubernetes.cri.sandbox-id",
    sandboxValue: "sandbox",
  },
  // CRI-O
  {
    type: "io.kubernetes.cri-o.ContainerType",
    sandboxId: "io.kubernetes.cri-o.SandboxID",
    sandboxValue: "sandbox",
  },
];

/**
 * The pod of the container `id`. Without annotations it stands alone: a pod of one container.
 * Throws INVALID_ARGUMENT when a container does not say which sandbox it belongs to.
 */
export function podGroup(id: string, annotations: Readonly<Record<string, string>>): PodGroup {
  for (const dialect of DIALECTS) {
    const type = annotations[dialect.type];
    if (type === undefined) continue;
    if (type === dialect.sandboxValue) return { kind: "sandbox", sandboxId: id };
    const sandboxId = annotations[dialect.sandboxId];
    if (sandboxId === undefined || sandboxId === "") {
      throw new TapirError({
        code: Code.INVALID_ARGUMENT,
        operation: "find the pod of",
        object: `container ${id}`,
        cause: `annotation ${dialect.type} is ${JSON.stringify(type)} but ${dialect.sandboxId} is missing`,
      });
    }
    return { kind: "container", sandboxId };
  }
  return { kind: "single", sandboxId: id };
}
