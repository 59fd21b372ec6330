import type { VmNic, VmSpec } from "../hypervisor.ts";
import { MEMORY_STEP_MIB, roomForMemory } from "../size.ts";
import {
  agentPort,
  consolePort,
  entropySource,
  imageDisk,
  imageMemory,
  networkDevice,
  panicDevice,
  rootPortDevice,
  serialController,
} from "./devices.ts";
import { kernelCommandLine } from "./kernel-command-line.ts";
import { netdevOf } from "./netdev.ts";
import { deviceOption, type OptionValue, option } from "./option.ts";
import { createTopology, MAX_ROOT_PORTS, reservePort, type Topology } from "./topology.ts";

/** What the command line needs besides the spec. */
export interface ArgumentContext {
  /** Our side of the fd table: which of this process's descriptors become QEMU's. This one listens. */
  readonly agentFd: number;
  readonly qmpFd: number;
  readonly consoleFd: number;
  readonly imageBytes: number;
  /** Not set: memory that QEMU makes itself, shared and nameless. */
  readonly memory?: GuestMemory | undefined;
  /** The state comes by QMP: QEMU waits for it with every device there and nothing running. */
  readonly incoming?: boolean;
}

/** A file of exactly the guest's size that is the guest's memory. */
export interface GuestMemory {
  /** Our descriptor of it; QEMU inherits it and opens the file anew by it, so that a name is not needed. */
  readonly fd: number;
  /** Whether what the guest writes goes into the file. */
  readonly shared: boolean;
}

/** A QEMU command line. */
export interface QemuArguments {
  readonly argv: readonly string[];
  /** Descriptors of this process in the order QEMU inherits them: the first becomes 3, the next 4, ... */
  readonly inherit: readonly number[];
  /** Where the NICs of the command line sit and which ports are free. */
  readonly topology: Topology;
}

const FIRST_INHERITED_FD = 3;
const MIB = 1024 * 1024;
/**
 * Bounds what translated code may take of the host, for good: it is never given back. A boot is slower with less, and with
 * more; a restored guest has no boot behind it, and 18 MiB when it is up: with 16 it translates much of that twice. Two containers
 * need 64; with 32 each start translates anew.
 */
const TB_SIZE_MIB = { boot: 256, restored: 32 } as const;

/**
 * Without what only a real processor does well: a fifth level of page tables, and `rep movsb` as the best way to copy, which
 * the emulator carries out byte by byte. Kernel and libc then move words; a byte through a container's streams costs a sixth
 * less, out of one a fifth.
 */
const TCG_CPU = "max,la57=off,erms=off,fsrm=off";

/** Pure: the same spec and descriptors give the same command line. */
export function qemuArguments(spec: VmSpec, context: ArgumentContext): QemuArguments {
  const inherit: number[] = [];
  const inherited = (fd: number): number => FIRST_INHERITED_FD + inherit.push(fd) - 1;
  let topology = createTopology(rootPorts(spec));
  const ports = topology.ports.map((port) => port.name);

  const argv = [
    ...["-name", option(`tapir-${spec.name}`, { "debug-threads": true })],
    ...machine(spec, tbSizeMiB(spec, context)),
    ...memory(spec, context, inherited),
    ...(context.incoming === true ? ["-S", "-incoming", "defer"] : boot(spec)),
    ...socketChardev("qmp", { fd: inherited(context.qmpFd) }),
    ...["-mon", "chardev=qmp,mode=control"],
    // Two ports write to the console: the kernel's first words need a port without a driver.
    ...socketChardev("console", { fd: inherited(context.consoleFd), mux: true }),
    ...["-serial", "chardev:console"],
    ...socketChardev("agent", { fd: inherited(context.agentFd), server: true, wait: false }),
    ...devices(serialController(), consolePort("console"), agentPort("agent")),
    ...image(spec, context.imageBytes),
    ...["-object", "rng-builtin,id=rng"],
    ...devices(entropySource("rng"), panicDevice(), ...ports.map(rootPortDevice)),
  ];
  for (const nic of spec.nics) {
    const reserved = reservePort(topology, nic.id);
    topology = reserved.topology;
    argv.push(...coldNic(nic, reserved.port, inherited));
  }
  return { argv, inherit, topology };
}

/** Free ports are for what may come: where the machine has no room for all of them, NICs that are there already go first. */
function rootPorts({ rootPorts: free, nics }: VmSpec): number {
  return Math.max(nics.length, Math.min(nics.length + free, MAX_ROOT_PORTS));
}

/** QEMU keeps both files in memory of its own: a restored guest, which never boots again (`-no-reboot`), goes without. */
function boot(spec: VmSpec): string[] {
  return ["-kernel", spec.kernel, "-initrd", spec.initramfs, "-append", kernelCommandLine(spec)];
}

function socketChardev(id: string, properties: Readonly<Record<string, OptionValue>>): string[] {
  return ["-chardev", option("socket", { id, ...properties })];
}

function tbSizeMiB(
  { restoredTbSizeMiB = TB_SIZE_MIB.restored }: VmSpec,
  { incoming }: ArgumentContext,
): number {
  return incoming === true ? restoredTbSizeMiB : TB_SIZE_MIB.boot;
}

function machine(spec: VmSpec, tbSize: number): string[] {
  const q35 = option("q35", {
    "memory-backend": "ram",
    smm: false,
    usb: false,
    vmport: false,
    hpet: false,
    sata: false,
    smbus: false,
    i8042: false,
    "dump-guest-core": false,
  });
  return [
    ...["-nodefaults", "-no-user-config", "-display", "none", "-vga", "none", "-no-reboot"],
    ...["-machine", q35],
    ...[
      "-accel",
      accelerator(spec.accelerator, tbSize),
      "-cpu",
      spec.accelerator === "kvm" ? "host" : TCG_CPU,
    ],
    ...["-smp", processors(spec)],
    ...[
      "-rtc",
      option("base=utc", { clock: "host", driftfix: spec.accelerator === "kvm" ? "slew" : "none" }),
    ],
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
  ];
}

/** CPUs that may come later have their places from the start: the guest's kernel counts them when it boots. */
function processors({ vcpus, most }: VmSpec): string {
  const maxcpus = Math.max(vcpus, most?.vcpus ?? 0);
  const places = maxcpus === vcpus ? {} : { maxcpus };
  return option(String(vcpus), { ...places, sockets: 1, cores: maxcpus, threads: 1 });
}

function accelerator(kind: VmSpec["accelerator"], tbSize: number): string {
  return kind === "kvm" ? "kvm" : option("tcg", { thread: "multi", "tb-size": tbSize });
}

/** Shared memory: virtio-fs and saved guests need it. Room above it is where the image is mapped, and memory that comes later. */
function memory(
  spec: VmSpec,
  { imageBytes, memory: file }: ArgumentContext,
  inherited: (fd: number) => number,
): string[] {
  const imageMiB = spec.imageDriver === "virtio-pmem" ? Math.ceil(imageBytes / MIB) : 0;
  const size = `${spec.memoryMiB}M`;
  const laterMiB = roomForMemory(spec, spec.most ?? spec);
  // As for the device: it may begin in the middle of a block.
  const roomMiB = imageMiB + (laterMiB === 0 ? 0 : laterMiB + MEMORY_STEP_MIB);
  const room = roomMiB === 0 ? {} : { slots: 1, maxmem: `${spec.memoryMiB + roomMiB}M` };
  const backend =
    file === undefined
      ? option("memory-backend-memfd", { id: "ram", size, share: true })
      : option("memory-backend-file", {
          id: "ram",
          size,
          "mem-path": `/proc/self/fd/${inherited(file.fd)}`,
          share: file.shared,
        });
  return ["-m", option(size, room), "-object", backend];
}

function image(spec: VmSpec, imageBytes: number): string[] {
  if (spec.imageDriver === "virtio-blk") {
    const file = option("driver=raw", {
      "node-name": "image",
      "read-only": true,
      "file.driver": "file",
      "file.filename": spec.image,
      "file.locking": "off",
    });
    return ["-blockdev", file, ...devices(imageDisk("image"))];
  }
  const backend = option("memory-backend-file", {
    id: "image",
    "mem-path": spec.image,
    size: imageBytes,
    share: true,
    readonly: true,
  });
  return ["-object", backend, ...devices(imageMemory("image"))];
}

function coldNic(nic: VmNic, port: string, inherited: (fd: number) => number): string[] {
  const netdev = netdevOf(nic.id);
  const queues = nic.tapFds.length;
  const tap = option("tap", {
    id: netdev,
    fds: nic.tapFds.map(inherited).join(":"),
    ...(nic.vhostFds.length === 0 ? {} : { vhost: true, vhostfds: nic.vhostFds.map(inherited).join(":") }),
  });
  return ["-netdev", tap, ...devices(networkDevice({ id: nic.id, netdev, mac: nic.mac, port, queues }))];
}

function devices(...list: Parameters<typeof deviceOption>[0][]): string[] {
  return list.flatMap((device) => ["-device", deviceOption(device)]);
}
