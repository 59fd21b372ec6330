import { errnoOf } from "../error.ts";
import { inNetns } from "../netns.ts";
import type { Network } from "./networks.ts";
import { readText } from "./read.ts";
import type { Things } from "./things.ts";

/**
 * Unix sockets that listen under a name; abstract ones begin with `@`. The kernel lists them by the network namespace
 * they were made in, though a path reaches them from everywhere.
 */
export function listSockets(networks: readonly Network[], mark: string | undefined): Things {
  const texts = [readText("/proc/net/unix"), ...networks.map(({ path }) => socketsOf(path))];
  return Object.fromEntries(
    texts
      .flatMap(parseUnixSockets)
      .filter((path) => mark === undefined || path.includes(mark))
      .map((path) => [path, ""]),
  );
}

function socketsOf(netns: string): string {
  try {
    return inNetns(netns, () => readText("/proc/thread-self/net/unix"));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return "";
    throw error;
  }
}

const ACCEPTS_CONNECTIONS = 0x1_0000;

/** Names of the listening sockets in the text of /proc/net/unix (proc(5)): accepted ones bear the same name. */
export function parseUnixSockets(text: string): string[] {
  return text.split("\n").flatMap((line) => {
    const match = /^[0-9a-f]+: [0-9A-F]+ [0-9A-F]+ ([0-9A-F]+) [0-9A-F]+ [0-9A-F]+ +\d+ (.+)$/.exec(line);
    const [, flags = "0", path = ""] = match ?? [];
    return (Number.parseInt(flags, 16) & ACCEPTS_CONNECTIONS) !== 0 && path !== "" ? [path] : [];
  });
}
