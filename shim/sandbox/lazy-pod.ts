import { wrapError } from "../../sys/error.ts";
import type { OpenPod, Pod } from "./pod.ts";

/**
 * Opens pods with code that is still being loaded: the shim answers containerd at once, and the C library and netlink come
 * in while containerd connects.
 */
export function lazyPod(loading: Promise<OpenPod>): OpenPod {
  // Whoever creates a pod gets the reason; until then nobody waits.
  loading.catch(() => undefined);
  return (context) => {
    let pod: Pod | undefined;
    return {
      async create(deadline) {
        const open = await deadline.race(loading).catch((error: unknown) => {
          throw wrapError(error, {
            operation: "load",
            object: "the sandbox code of the shim",
            hint: "install Tapir again",
          });
        });
        pod = open(context);
        return pod.create(deadline);
      },
      start: async (deadline) => pod?.start(deadline),
      stop: async (deadline) => pod?.stop(deadline),
      close: async () => pod?.close(),
    };
  };
}
