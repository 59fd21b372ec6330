import { join } from "node:path";
import { chooseAccelerator } from "../hypervisor/accelerator.ts";
import { BUILT } from "../test/harness/project.ts";

/** A machine for a guest in a QEMU that nothing of ours runs, with the console of `chardev`. */
export interface BareMachine {
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly initramfs: string;
  /** The first program in the initramfs. */
  readonly init: string;
  /** Options of the console's chardev. */
  readonly console: string;
}

const MACHINE = ["-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35"];
/** As the product has them (hypervisor/qemu/arguments.ts). */
const ACCELERATOR = {
  kvm: ["-accel", "kvm", "-cpu", "host"],
  tcg: ["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max,la57=off,erms=off,fsrm=off"],
} as const;

/** Words of a command line: the accelerator that a pod on this machine would have. */
export function bareMachine({ memoryMiB, vcpus, initramfs, init, console }: BareMachine): string[] {
  return [
    ...MACHINE,
    ...ACCELERATOR[chooseAccelerator("auto")],
    ...["-m", `${memoryMiB}M`, "-smp", String(vcpus)],
    ...["-kernel", join(BUILT.guest, "vmlinuz"), "-initrd", initramfs],
    ...["-append", `rdinit=${init} console=hvc0 quiet net.ifnames=0 tsc=reliable no_timer_check`],
    ...["-chardev", console],
    ...["-device", "virtio-serial-pci", "-device", "virtconsole,chardev=console"],
  ];
}
