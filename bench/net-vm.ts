import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BUILT, built } from "../test/harness/project.ts";
import { bareMachine } from "./bare-machine.ts";
import { type BareQemu, startBareQemu } from "./bare-qemu.ts";
import { IMAGE, PROGRAM_INIT, writeProgramInitramfs } from "./guest-program.ts";
import type { Nic } from "./net-place.ts";
import { benchCpio } from "./net-services.ts";

const VCPUS = 2;

/** A VM in which busybox serves. */
export async function startServingVm(directory: string, nics: readonly Nic[]): Promise<BareQemu> {
  const initramfs = join(directory, "serving-initramfs");
  const usual = readFileSync(built(join(BUILT.guest, "initramfs.cpio")));
  writeFileSync(initramfs, Buffer.concat([usual, benchCpio()]));
  const console = `file,id=console,path=${join(directory, "serving-console")}`;
  const machine = bareMachine({ memoryMiB: 256, vcpus: VCPUS, initramfs, init: "/bench/init", console });
  return startWith(machine, nics);
}

/** A VM in which bench/net-guest.ts makes traffic. */
export async function startAskingVm(directory: string, nics: readonly Nic[]): Promise<BareQemu> {
  const initramfs = join(directory, "asking-initramfs");
  await writeProgramInitramfs(initramfs, join(import.meta.dirname, "net-guest.ts"));
  const console = `file,id=console,path=${join(directory, "asking-console")}`;
  const machine = bareMachine({ memoryMiB: 384, vcpus: VCPUS, initramfs, init: PROGRAM_INIT, console });
  return startWith([...machine, ...IMAGE], nics);
}

function startWith(machine: readonly string[], nics: readonly Nic[]): Promise<BareQemu> {
  const inherit = nics.flatMap(({ tapFds }) => tapFds);
  // The child's descriptors are 3, 4, ... in this order.
  const childFd = new Map(inherit.map((fd, at) => [fd, at + 3]));
  const devices = nics.flatMap(({ mac, queues, tapFds }, at) => [
    ...["-netdev", `tap,id=n${at},fds=${tapFds.map((fd) => childFd.get(fd)).join(":")}`],
    "-device",
    `virtio-net-pci,netdev=n${at},mac=${mac},romfile=${queues > 1 ? `,mq=on,vectors=${2 * queues + 2}` : ""}`,
  ]);
  return startBareQemu([...machine, ...devices], inherit);
}
