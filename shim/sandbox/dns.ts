import { readFileSync } from "node:fs";
import { errnoOf, wrapError } from "../../sys/error.ts";
import type { OciMount } from "./oci.ts";

/** What a resolver needs to know (resolv.conf(5)). */
export interface DnsSettings {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

const NONE: DnsSettings = { servers: [], searches: [], options: [] };
const RESOLV_CONF = "/etc/resolv.conf";

/**
 * The DNS settings of a pod. CRI writes them into a resolv.conf of the sandbox and mounts that into the sandbox
 * container, so the mount says where it lies; there is no other way for a shim to get them.
 */
export function readResolvConf(mounts: readonly Pick<OciMount, "destination" | "source">[]): DnsSettings {
  // A later mount covers an earlier one.
  const source = mounts.findLast(({ destination }) => destination === RESOLV_CONF)?.source;
  if (source === undefined || source === "") return NONE;
  try {
    return parseResolvConf(readFileSync(source, "utf8"));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return NONE;
    throw wrapError(error, { operation: "read", object: `DNS settings ${source}` });
  }
}

/** Parses resolv.conf(5): the last `search` or `domain` line wins, unknown lines are skipped. */
export function parseResolvConf(text: string): DnsSettings {
  const servers: string[] = [];
  let searches: string[] = [];
  const options: string[] = [];
  for (const line of text.split("\n")) {
    const [keyword, ...values] = line
      .replace(/[#;].*$/, "")
      .trim()
      .split(/\s+/);
    if (keyword === "nameserver") servers.push(...values.slice(0, 1));
    if (keyword === "search") searches = values;
    if (keyword === "domain") searches = values.slice(0, 1);
    if (keyword === "options") options.push(...values);
  }
  return { servers, searches, options };
}
