import { readdirSync, readFileSync } from "node:fs";
import type { QemuVm } from "../../hypervisor/qemu/vm.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { listLinks } from "../../sys/netlink/link.ts";
import { openRoute } from "../../sys/netlink/socket.ts";

/** What piles up where something is forgotten. */
export interface Holdings {
  readonly descriptors: number;
  /** Of this process, which opens the taps. */
  readonly ourDescriptors: number;
  readonly taps: number;
  /** Root ports with something in them. */
  readonly slots: number;
  /** What QEMU itself takes, and what its guest has touched, in KiB. */
  readonly rssKib: number;
  readonly guestRssKib: number;
}

export async function holdingsOf(vm: QemuVm, netns: string, deadline: Deadline): Promise<Holdings> {
  using socket = openRoute({ netns });
  const links = await listLinks(socket, deadline);
  const [root] = await vm.qmp.execute("query-pci", undefined, deadline);
  const status = readFileSync(`/proc/${vm.pid}/status`, "latin1");
  return {
    descriptors: readdirSync(`/proc/${vm.pid}/fd`).length,
    ourDescriptors: readdirSync("/proc/self/fd").length,
    taps: links.filter(({ kind }) => kind === "tun").length,
    slots: (root?.devices ?? []).filter((one) => (one.pci_bridge?.devices ?? []).length > 0).length,
    rssKib: kibOf(status, "RssAnon"),
    guestRssKib: kibOf(status, "RssShmem"),
  };
}

function kibOf(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]);
}

/** How much a value grows from one round to the next: the slope of the line that fits best. Pure. */
export function slopeOf(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const over = values.reduce((sum, value, index) => sum + (index - middle) * (value - mean), 0);
  return over / values.reduce((sum, _, index) => sum + (index - middle) ** 2, 0);
}
