import type { Deadline } from "../deadline.ts";
import type { Undo } from "./entry.ts";

/** Undoes one entry. Kinds are loaded when needed: an empty ledger costs nothing. */
export async function undo(entry: Undo, deadline: Deadline): Promise<void> {
  switch (entry.kind) {
    case "directory":
    case "file":
      return (await import("./path.ts")).undoPath(entry);
    case "descriptors":
      return;
    case "cgroup":
      return (await import("./cgroup.ts")).undoCgroup(entry, deadline);
    case "mount":
      return (await import("./mount.ts")).undoMount(entry);
    case "process":
      return (await import("./process.ts")).undoProcess(entry, deadline);
    case "link":
      return (await import("./link.ts")).undoLink(entry, deadline);
    case "qdisc":
      return (await import("./qdisc.ts")).undoQdisc(entry, deadline);
    case "shaper":
      return (await import("./shaper.ts")).undoShaper(entry, deadline);
    case "filter":
      return (await import("./filter.ts")).undoFilter(entry, deadline);
    case "pci-device":
      return (await import("./pci-device.ts")).undoPciDevice(entry, deadline);
  }
}
