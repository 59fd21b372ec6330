import { existsSync } from "node:fs";
import { basename } from "node:path";
import { confinementOf } from "../../hypervisor/qemu/confinement.ts";
import type { Configuration } from "../../shim/config/schema.ts";
import { readLedger } from "../../sys/ledger.ts";

/** What a pod's QEMU is to see and to have, as it is started, and the cgroups of all its processes. */
export interface Wanted {
  /** Names in its root. */
  readonly seen: readonly string[];
  readonly devices: readonly string[];
  readonly groups: readonly number[];
  readonly openFiles: number;
  readonly threads: number;
  /** Where templates lie: one that is mapped privately is its memory. */
  readonly templates: string;
  readonly cgroups: readonly string[];
  /** Whether its network namespace is that of a container in no pod. */
  readonly seesPodNetwork: boolean;
}

export function wantedOf({ hypervisor, runtime, factory }: Configuration, directory: string): Wanted {
  const { path, kernel, initramfs, image } = hypervisor.qemu;
  const accelerator = existsSync("/dev/kvm") ? "kvm" : "tcg";
  const spec = { qemu: path, kernel, initramfs, image, directory, accelerator } as const;
  const { root, groups = [], limits } = confinementOf(spec, 0);
  // Where pods may choose these files, they lie elsewhere.
  const visible = [...root.visible, ...runtime.validAnnotationPaths, "/dev", "/proc"];
  return {
    seesPodNetwork: false,
    seen: visible.map((name) => name.split("/")[1] ?? ""),
    // A device that CNI gave the pod shows as a group of vfio.
    devices: [...root.devices.map((name) => basename(name)), "vfio"],
    groups,
    openFiles: limits?.nofile ?? 0,
    threads: limits?.nproc ?? 0,
    templates: factory.path,
    cgroups: podCgroups(directory),
  };
}

/** The innermost of those that the ledger says were made for it. */
function podCgroups(directory: string): string[] {
  const made = readLedger(directory).flatMap(({ undo }) => (undo.kind === "cgroup" ? [undo.path] : []));
  return made.filter((path) => !made.some((other) => other.startsWith(`${path}/`)));
}
