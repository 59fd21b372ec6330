import type { VirtioFs } from "../../proto/gen/tapir/agent/v1/container.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { errnoOf } from "../../sys/error.ts";
import { MS, mountWaiting } from "../../sys/mount.ts";
import { watchUevents } from "../../sys/uevent.ts";

/** Mounts a share; a tag that is not there yet (EINVAL) is waited for: its device may be on its way. */
export async function mountShare(
  { tag, readOnly }: VirtioFs,
  target: string,
  deadline: Deadline,
): Promise<void> {
  const changed = { resolve: (): void => undefined };
  using _watch = watchUevents(() => changed.resolve());
  for (;;) {
    const change = new Promise<void>((resolve) => {
      changed.resolve = resolve;
    });
    try {
      // What else is forbidden, a container's own mounts and device rules say.
      const flags = readOnly ? MS.RDONLY : 0;
      await deadline.race(mountWaiting({ source: tag, target, type: "virtiofs", flags }));
      return;
    } catch (error) {
      if (errnoOf(error) !== "EINVAL") throw error;
    }
    await deadline.race(change);
  }
}
