import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { MS, mount, unmount } from "../../sys/mount.ts";
import { inMountNamespace } from "../../sys/mount-namespace.ts";
import { cloneTree, moveTree } from "../../sys/mount-tree.ts";
import { VFIO_CONTAINER, vfioGroupNode } from "../../sys/pci/vfio-group.ts";
import type { VmHostDevice } from "../hypervisor.ts";

/**
 * Where QEMU looks a device up: a folder named after its address, with a link that says its group. It is all QEMU reads of
 * sysfs, which a confined one does not see.
 */
export const deviceFolder = ({ address, group }: Pick<VmHostDevice, "address" | "group">): string =>
  `/devices/${group}/${address}`;

/** Lets the confined QEMU `pid`, and nobody else, have a device that is ready for it: it sees its group's node, and owns it. */
export async function showDevice(pid: number, device: VmHostDevice): Promise<void> {
  const group = vfioGroupNode(device.group);
  const trees = [
    await cloneTree(VFIO_CONTAINER, { recursive: false }),
    await cloneTree(group, { recursive: false }),
  ];
  try {
    const user = userOf(pid);
    inMountNamespace(pid, () =>
      whileWritable(() => {
        mkdirSync(dirname(group), { recursive: true });
        for (const [at, node] of [VFIO_CONTAINER, group].entries()) {
          unmount(node);
          writeFileSync(node, "");
          moveTree(trees[at] ?? -1, node);
        }
        // It may have had the device before.
        if (existsSync(deviceFolder(device))) return;
        mkdirSync(deviceFolder(device), { recursive: true });
        symlinkSync(`/sys/kernel/iommu_groups/${device.group}`, join(deviceFolder(device), "iommu_group"));
      }),
    );
    // Last: only now is it of use to anybody. The node goes when the device leaves vfio-pci.
    chownSync(group, user, user);
  } finally {
    for (const tree of trees) closeSync(tree);
  }
}

/** Takes the node away from a QEMU that lives on; what is left is an empty file. */
export function hideDevice(pid: number, device: VmHostDevice): void {
  inMountNamespace(pid, () => unmount(vfioGroupNode(device.group)));
}

function whileWritable(work: () => void): void {
  const flags = MS.REMOUNT | MS.BIND | MS.NOSUID | MS.NODEV;
  mount({ source: "none", target: "/", type: "", flags });
  try {
    work();
  } finally {
    mount({ source: "none", target: "/", type: "", flags: flags | MS.RDONLY });
  }
}

/** The owner of /proc/<pid> is root where a process may not be dumped. */
function userOf(pid: number): number {
  const line = /^Uid:\s+\d+\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  return Number(line?.[1]);
}
