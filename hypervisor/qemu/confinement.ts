import { randomInt } from "node:crypto";
import { realpathSync, statSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { PrivateRoot } from "../../sys/private-root.ts";
import type { VmSpec } from "../hypervisor.ts";
import type { Surroundings } from "./launch.ts";

/** Uids that nobody else hands out: above containers and dynamic users (systemd, docs/UIDS-GIDS.md), below 2^31. */
const FIRST_USER = 1_879_048_192;
const LAST_USER = 2_147_483_646;

/** Where programs and what they load are; links of a merged /usr stay links. */
const PROGRAMS = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache"];
const DEVICES = ["/dev/null", "/dev/urandom"];
const KVM = "/dev/kvm";

/** No core dump: the guest's memory is in it. Enough threads for vCPUs and block I/O, enough files for queues of NICs. */
const LIMITS = { core: 0, nproc: 512, nofile: 4096 } as const;

/** A user for one VM: who breaks out of one guest can neither signal, trace nor read the QEMU of another. */
export function pickUser(): number {
  return randomInt(FIRST_USER, LAST_USER + 1);
}

type Confined = Pick<VmSpec, "qemu" | "kernel" | "initramfs" | "image" | "directory" | "accelerator">;

/**
 * What QEMU gets of the node: a user of its own without any capability, a root with its program, its files and its devices,
 * no network. Taps, disks, sockets, memory and saved state come as descriptors.
 */
export function confinementOf(spec: Confined, user: number): Surroundings & { readonly root: PrivateRoot } {
  const { qemu, kernel, initramfs, image, directory } = spec;
  const kvm = spec.accelerator === "kvm";
  return {
    user,
    groups: kvm ? [statSync(KVM).gid] : [],
    capabilities: [],
    limits: LIMITS,
    root: {
      mountPoint: directory,
      visible: [...PROGRAMS, ...homeOf(qemu), kernel, initramfs, image],
      devices: kvm ? [...DEVICES, KVM] : DEVICES,
    },
  };
}

/** A QEMU installed elsewhere has its libraries and firmware beside it: /opt/qemu for /opt/qemu/bin/qemu-system-x86_64. */
function homeOf(binary: string): string[] {
  const folder = dirname(realpathSync(binary));
  return basename(folder) === "bin" ? [binary, dirname(folder)] : [binary, realpathSync(binary)];
}
