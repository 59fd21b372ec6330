import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { annotationPrefix } from "./annotations.ts";

type Annotations = Readonly<Record<string, string>>;

/**
 * Refuses a container that wants to configure its VM: that is there already. containerd gives a container those of its pod as
 * well; what it says beyond them is its own.
 */
export function refuseOwnConfiguration(id: string, own: Annotations, ofPod: Annotations): void {
  for (const [name, value] of Object.entries(own)) {
    if (!name.startsWith(annotationPrefix) || ofPod[name] === value) continue;
    throw new TapirError({
      code: Code.INVALID_ARGUMENT,
      operation: "create",
      object: `container ${id}`,
      cause: `its annotation ${name} belongs to the pod, whose VM runs`,
      hint: "set it on the pod",
    });
  }
}
