import type { Deadline } from "../../sys/deadline.ts";
import { systemError } from "../../sys/error.ts";
import { listLinks } from "../../sys/netlink/link.ts";
import type { Link } from "../../sys/netlink/records.ts";
import type { IndexOf, NameOf } from "./message.ts";
import type { Network } from "./network.ts";

/** Names of links to numbers and back, as they are now. */
export interface LinkNames {
  /** "" for no link (0) and for one that is gone. */
  readonly nameOf: NameOf;
  /** Throws ENODEV, naming the link. */
  readonly indexOf: IndexOf;
}

export async function readLinkNames(network: Network, deadline: Deadline): Promise<LinkNames> {
  return linkNames(await listLinks(network.socket, deadline));
}

export function linkNames(links: readonly Pick<Link, "index" | "name">[]): LinkNames {
  const names = new Map(links.map(({ index, name }) => [index, name]));
  const indexes = new Map(links.map(({ index, name }) => [name, index]));
  return {
    nameOf: (index) => names.get(index) ?? "",
    indexOf: (name) => {
      const index = indexes.get(name);
      if (index !== undefined) return index;
      throw systemError("ENODEV", { operation: "find", object: `network interface ${name}` });
    },
  };
}
