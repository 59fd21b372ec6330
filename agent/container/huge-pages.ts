import { readdirSync } from "node:fs";
import { errnoOf } from "../../sys/error.ts";

const FOLDER = "/sys/kernel/mm/hugepages";

/** The sizes of huge pages that the guest has, as limits name them: "2MB". */
export function guestHugePages(): ReadonlySet<string> {
  try {
    return new Set(readdirSync(FOLDER).flatMap(pageSizeName));
  } catch (error) {
    // A kernel without them.
    if (errnoOf(error) === "ENOENT") return new Set();
    throw error;
  }
}

/** The kernel calls its folder "hugepages-2048kB". */
export function pageSizeName(folder: string): string[] {
  const kib = Number(/^hugepages-(\d+)kB$/.exec(folder)?.[1]);
  if (!(kib > 0)) return [];
  if (kib % (1 << 20) === 0) return [`${kib >> 20}GB`];
  return [kib % 1024 === 0 ? `${kib >> 10}MB` : `${kib}KB`];
}
