import type { Descriptor } from "../../sys/descriptors.ts";

/** Ways to other processes that were made for it, the guest's memory, its disks, what its own root shows. */
const MEANT = ["socket", "eventfd", "eventpoll", "signalfd", "timerfd", "memory", "its own /proc"];
const MEANT_DEVICES = ["null", "urandom", "kvm", "net/tun", "vhost-net", "vhost-vsock"];

/** A file of the node is not, whoever left it open; nor a pipe: neither program was given one. */
export function isMeant({ target, kind, inRoot }: Descriptor, templates: string): boolean {
  if (MEANT.includes(kind) || inRoot || kind.startsWith("disk ")) return true;
  if (kind.startsWith("device "))
    return MEANT_DEVICES.some((name) => target === `/dev/${name}`) || /^\/dev\/(vfio|tap)/.test(target);
  return target.startsWith(`${templates}/`) || /^kvm|^vfio|^io_uring/.test(kind);
}

/** How many there are of each kind. */
export function counts(descriptors: readonly Descriptor[]): string {
  const kinds = descriptors.map(({ kind, inRoot }) =>
    inRoot && !kind.startsWith("device ") ? "its root" : kind,
  );
  return [...new Set(kinds)]
    .map((kind) => `${kinds.filter((one) => one === kind).length} ${kind}`)
    .join(", ");
}
