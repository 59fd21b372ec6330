import type { DeviceArguments } from "../qmp/commands.ts";

/** The devices of a machine as data: the command line and `device_add` say the same thing from one record. */

/** Slots of the root bus, fixed so that a saved guest finds every device where it was. */
const SLOTS = { serial: 1, image: 2, entropy: 3, panic: 4, firstRootPort: 5 } as const;

/** The port by which the agent finds its transport in /sys/class/virtio-ports. */
const AGENT_PORT = "org.tapir.agent.0";
/** Serial number of the root image when it is a disk. */
const IMAGE_SERIAL = "tapir-root";

/** Leaves out what only legacy drivers need: I/O ports, of which a PCI bus has few. */
const modern = { "disable-legacy": "on", "disable-modern": false } as const;

export function rootPortDevice(port: string, index: number): DeviceArguments {
  return {
    driver: "pcie-root-port",
    id: port,
    bus: "pcie.0",
    addr: pciSlot(SLOTS.firstRootPort + index),
    chassis: index + 1,
    slot: index + 1,
    // Modern virtio has no I/O BARs; 16 ports at 4 KiB each would use up the I/O space.
    "io-reserve": 0,
  };
}

export function serialController(): DeviceArguments {
  return {
    driver: "virtio-serial-pci",
    id: "serial",
    bus: "pcie.0",
    addr: pciSlot(SLOTS.serial),
    max_ports: 4,
    ...modern,
  };
}

/** The guest's console, port 0 by convention: hvc0. */
export function consolePort(chardev: string): DeviceArguments {
  return { driver: "virtconsole", id: "console", bus: "serial.0", nr: 0, chardev };
}

export function agentPort(chardev: string): DeviceArguments {
  return { driver: "virtserialport", id: "agent", bus: "serial.0", nr: 1, chardev, name: AGENT_PORT };
}

export function imageMemory(memdev: string): DeviceArguments {
  return { driver: "virtio-pmem-pci", id: "root", bus: "pcie.0", addr: pciSlot(SLOTS.image), memdev };
}

export function imageDisk(drive: string): DeviceArguments {
  return {
    driver: "virtio-blk-pci",
    id: "root",
    bus: "pcie.0",
    addr: pciSlot(SLOTS.image),
    drive,
    serial: IMAGE_SERIAL,
    ...modern,
  };
}

export function entropySource(rng: string): DeviceArguments {
  return {
    driver: "virtio-rng-pci",
    id: "entropy",
    bus: "pcie.0",
    addr: pciSlot(SLOTS.entropy),
    rng,
    ...modern,
  };
}

/** By which the guest kernel reports that it panicked. */
export function panicDevice(): DeviceArguments {
  return { driver: "pvpanic-pci", id: "panic", bus: "pcie.0", addr: pciSlot(SLOTS.panic) };
}

/** A NIC on a root port. `queues` above 1 needs two interrupts per queue, one for changes and one for control. */
export function networkDevice(nic: {
  readonly id: string;
  readonly netdev: string;
  readonly mac: string;
  readonly port: string;
  readonly queues: number;
}): DeviceArguments {
  return {
    driver: "virtio-net-pci",
    id: nic.id,
    bus: nic.port,
    addr: pciSlot(0),
    netdev: nic.netdev,
    mac: nic.mac,
    // No boot ROM: it would be read and mapped for nothing.
    romfile: "",
    // A restored guest is another one than before, elsewhere: it need not tell a switch that it has moved.
    guest_announce: false,
    ...(nic.queues > 1 ? { mq: true, vectors: 2 * nic.queues + 2 } : {}),
    ...modern,
  };
}

/** A device of the node on a root port; `folder` says of it what sysfs says. */
export function hostDevice(device: {
  readonly id: string;
  readonly folder: string;
  readonly port: string;
}): DeviceArguments {
  return {
    driver: "vfio-pci",
    id: device.id,
    bus: device.port,
    addr: pciSlot(0),
    sysfsdev: device.folder,
    romfile: "",
  };
}

/** Where the guest sees the root port with that number. */
export function rootPortAddress(index: number): string {
  return `0000:00:${(SLOTS.firstRootPort + index).toString(16).padStart(2, "0")}.0`;
}

/** A folder of the host, as its server behind `chardev` shows it. Legacy drivers never knew it. */
export function shareDevice(share: {
  readonly id: string;
  readonly chardev: string;
  readonly tag: string;
  readonly port: string;
}): DeviceArguments {
  return {
    driver: "vhost-user-fs-pci",
    id: share.id,
    bus: share.port,
    addr: pciSlot(0),
    chardev: share.chardev,
    tag: share.tag,
    "queue-size": 1024,
  };
}

/** A disk on a root port. */
export function diskDevice(disk: {
  readonly id: string;
  readonly drive: string;
  readonly serial: string;
  readonly port: string;
}): DeviceArguments {
  return {
    driver: "virtio-blk-pci",
    id: disk.id,
    bus: disk.port,
    addr: pciSlot(0),
    drive: disk.drive,
    serial: disk.serial,
    ...modern,
  };
}

/** Memory of which the guest has `requestedMiB`. Legacy drivers never knew it. */
export function memoryDevice(memory: {
  readonly id: string;
  readonly memdev: string;
  readonly port: string;
  readonly requestedMiB: number;
}): DeviceArguments {
  return {
    driver: "virtio-mem-pci",
    id: memory.id,
    bus: memory.port,
    addr: pciSlot(0),
    memdev: memory.memdev,
    "requested-size": memory.requestedMiB * 1024 * 1024,
  };
}

/** QEMU reads slots as hexadecimal. */
function pciSlot(slot: number): string {
  return `0x${slot.toString(16)}`;
}
