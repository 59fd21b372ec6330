import { readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeLink } from "../../sys/netlink/link.ts";
import type { Link } from "../../sys/netlink/records.ts";

const FILE = join(import.meta.dirname, "captured-links.txt");

/** Links of kinds that the machine's own kernel may not make, by the name of their case in test/kinds/cases.ts. */
export function capturedLinks(): Map<string, Link> {
  const lines = readFileSync(FILE, "utf8").split("\n");
  const captured = lines.flatMap((line) => {
    const [, name = "", hex = ""] = /^([^#:]+): ([0-9a-f]+)$/.exec(line) ?? [];
    return hex === "" ? [] : [[name, linkOf(hex)] as const];
  });
  return new Map(captured);
}

/** The payload of an RTM_NEWLINK in hexadecimal. */
export function linkOf(hex: string): Link {
  const link = decodeLink(Buffer.from(hex, "hex"));
  if (link === undefined) throw new Error("it is no link");
  return link;
}
