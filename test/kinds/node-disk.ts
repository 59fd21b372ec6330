import { chmodSync, copyFileSync, existsSync, globSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { buildErofs, uuidOf } from "../../guest/erofs.ts";
import { closeOverLibraries, LIBRARY_FOLDER } from "../../guest/libraries.ts";

const QEMU = "/usr/bin/qemu-system-x86_64";
const PROGRAMS = [QEMU, "/usr/bin/prlimit", "/usr/bin/setpriv"];
/** Debian's QEMU loads how it emulates. */
const ACCELERATORS = "/usr/lib/x86_64-linux-gnu/qemu/accel-tcg-*.so";
const FIRMWARE = ["bios-256k.bin", "kvmvapic.bin", "linuxboot_dma.bin"];
const FIRMWARE_FOLDERS = ["/usr/share/seabios", "/usr/share/qemu"];

/**
 * A QEMU in `directory` that gives its machine what a node has which hands devices over: an IOMMU, a NIC behind it, and a
 * disk with QEMU's own program and what that needs.
 */
export async function makeNodeQemu(directory: string, kernel: string): Promise<string> {
  const tree = join(directory, "tree");
  const disk = join(directory, "node/disk.erofs");
  const put = (from: string, to: string): void => {
    mkdirSync(dirname(join(tree, to)), { recursive: true });
    copyFileSync(from, join(tree, to));
  };
  const loaded = globSync(ACCELERATORS);
  for (const path of [...PROGRAMS, ...loaded]) put(path, path);
  for (const [name, path] of closeOverLibraries([...PROGRAMS, ...loaded], "/"))
    put(path, `${LIBRARY_FOLDER}/${name}`);
  for (const name of FIRMWARE) {
    const folder = FIRMWARE_FOLDERS.find((one) => existsSync(join(one, name))) ?? "";
    put(join(folder, name), `usr/share/qemu/${name}`);
  }
  put(kernel, "usr/boot/vmlinuz");
  mkdirSync(join(directory, "node/bin"), { recursive: true });
  await buildErofs(tree, disk, uuidOf("0".repeat(32)));
  const qemu = join(directory, "node/bin/qemu");
  const words = [
    ...["-machine", "kernel-irqchip=split"],
    ...["-device", "intel-iommu,intremap=on,device-iotlb=on"],
    '"$@"',
    ...["-drive", `if=none,id=node,format=raw,readonly=on,file.locking=off,file=${disk}`],
    ...["-device", "virtio-blk-pci,drive=node,disable-legacy=on"],
    ...["-netdev", "hubport,id=wire,hubid=0"],
    ...["-device", "pcie-root-port,id=behind,chassis=99,slot=99"],
    ...[
      "-device",
      "virtio-net-pci,bus=behind,netdev=wire,romfile=,iommu_platform=on,disable-legacy=on,disable-modern=off",
    ],
  ];
  writeFileSync(qemu, `#!/bin/sh\nexec ${QEMU} ${words.join(" ")}\n`);
  chmodSync(qemu, 0o755);
  return qemu;
}
