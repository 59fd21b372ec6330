import type { ProcessIdentity } from "../identity.ts";
import type { Address, Link } from "../netlink/records.ts";

/** How one acquisition is undone. Each names exactly what it undoes; each is idempotent. */
export type Undo =
  /** A directory with everything in it. */
  | { readonly kind: "directory"; readonly path: string }
  /** One file, socket or symbolic link. */
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "mount"; readonly target: string }
  /** A cgroup of one hierarchy; stays while somebody else has cgroups below it. */
  | { readonly kind: "cgroup"; readonly path: string }
  /** What the process that acquired it holds open, and what goes when it closes that or dies. */
  | { readonly kind: "descriptors" }
  /** A process and what it forked: found by its token until pid and start time are known. */
  | {
      readonly kind: "process";
      readonly token: string;
      readonly pid?: number;
      readonly startTime?: string;
    }
  /** A link that Tapir made. Without `index` it is found by name alone; 0 says that it never came to be. */
  | (InNetns & { readonly kind: "link"; readonly name: string; readonly index?: number })
  /** The ingress qdisc that Tapir added to a link; stays while somebody else has filters below it. */
  | (InNetns & { readonly kind: "qdisc"; readonly link: string; readonly index: number })
  /** The rate limit that Tapir put at the root of a link. */
  | (InNetns & { readonly kind: "shaper"; readonly link: string; readonly index: number })
  /** The redirect to link `target` that Tapir added below an ingress or clsact qdisc. */
  | (InNetns & {
      readonly kind: "filter";
      readonly link: string;
      readonly index: number;
      readonly priority: number;
      readonly protocol: number;
      readonly target: number;
    })
  /** A PCI device that was handed to vfio-pci, and its link, which comes back to its namespace. */
  | (InNetns & {
      readonly kind: "pci-device";
      readonly address: string;
      readonly group: string;
      /** Its own. */
      readonly driver: string;
      readonly link: Pick<Link, "name" | "mac" | "mtu" | "flags" | "alias">;
      readonly addresses: readonly Address[];
      /** The VM's process: as long as it has the device, nobody else can. */
      readonly user?: ProcessIdentity;
    });

/** Where a network entry lies. The inode tells a namespace from a later one behind the same path. */
export interface InNetns {
  readonly netns: string;
  readonly netnsInode: number;
}
