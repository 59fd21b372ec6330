// A tree of files as sysfs has it, in a temporary folder; what the kernel would do when something is written, the test does.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { reasonOf, systemError } from "../error.ts";
import { groupMates, hasPciDriver, type PciDevice, pciDevice, pciDeviceBelow } from "./device.ts";
import { bindBack, bindToVfio, type Sysfs } from "./driver.ts";

const NIC = "0000:01:00.0";

interface FakeSysfs extends Sysfs {
  /** Every write, in order. */
  readonly written: string[];
}

/** Functions of one bus with their drivers, all in one group; vfio-pci is loaded. `refused`: it takes none of them. */
function fakeSysfs(devices: Readonly<Record<string, string | undefined>>, refused = false): FakeSysfs {
  const root = mkdtempSync(join(tmpdir(), "tapir-pci-"));
  const written: string[] = [];
  const home = (address: string): string => join(root, "devices/pci0000:00/0000:00:01.0", address);
  const bind = (address: string, driver: string | undefined): void => {
    rmSync(join(home(address), "driver"), { force: true });
    if (driver !== undefined)
      symlinkSync(join(root, "bus/pci/drivers", driver), join(home(address), "driver"));
  };
  for (const driver of ["e1000e", "vfio-pci", "pcieport"]) {
    mkdirSync(join(root, "bus/pci/drivers", driver), { recursive: true });
  }
  mkdirSync(join(root, "bus/pci/devices"), { recursive: true });
  mkdirSync(join(root, "bus/virtio/devices"), { recursive: true });
  mkdirSync(join(root, "kernel/iommu_groups/7/devices"), { recursive: true });
  for (const [address, driver] of Object.entries(devices)) {
    mkdirSync(home(address), { recursive: true });
    writeFileSync(join(home(address), "class"), driver === "pcieport" ? "0x060400\n" : "0x020000\n");
    symlinkSync(home(address), join(root, "bus/pci/devices", address));
    symlinkSync(home(address), join(root, "kernel/iommu_groups/7/devices", address));
    symlinkSync(join(root, "kernel/iommu_groups/7"), join(home(address), "iommu_group"));
    bind(address, driver);
  }
  return {
    root,
    written,
    async write(path, text) {
      const name = path.slice(root.length + 1);
      written.push(`${name} ${text.trim()}`);
      if (name.endsWith("driver_override")) writeFileSync(path, text);
      else if (name.endsWith("unbind")) bind(text, undefined);
      else if (name.endsWith("drivers_probe")) {
        if (!refused) bind(text, readFileSync(join(home(text), "driver_override"), "latin1"));
      } else if (name.endsWith("/bind")) bind(text, name.split("/").at(-2));
      else throw systemError("EACCES", { operation: "write", object: path });
    },
  };
}

const trees: FakeSysfs[] = [];
const make = (...what: Parameters<typeof fakeSysfs>): FakeSysfs => {
  const made = fakeSysfs(...what);
  trees.push(made);
  return made;
};
test.after.always(() => {
  for (const { root } of trees) rmSync(root, { recursive: true });
});
const found = (address: string, { root }: Sysfs): PciDevice => {
  const device = pciDevice(address, root);
  if (device === undefined) throw new Error(`there is no ${address}`);
  return device;
};

test("a device says its driver and its group, also below a virtio device; others say nothing", (t) => {
  const sysfs = make({ [NIC]: "e1000e" });
  t.deepEqual(pciDevice(NIC, sysfs.root), { address: NIC, driver: "e1000e", group: "7" });
  t.is(pciDevice("0000:02:00.0", sysfs.root), undefined);
  const virtio = join(sysfs.root, "devices/pci0000:00/0000:00:01.0", NIC, "virtio3");
  mkdirSync(virtio);
  symlinkSync(virtio, join(sysfs.root, "bus/virtio/devices/virtio3"));
  t.is(pciDeviceBelow("virtio", "virtio3", sysfs.root)?.address, NIC);
  t.is(pciDeviceBelow("pci", NIC, sysfs.root)?.address, NIC);
  t.is(pciDeviceBelow("virtio", "virtio4", sysfs.root), undefined);
  mkdirSync(join(sysfs.root, "devices/platform/nic0"), { recursive: true });
  mkdirSync(join(sysfs.root, "bus/platform/devices"), { recursive: true });
  symlinkSync(join(sysfs.root, "devices/platform/nic0"), join(sysfs.root, "bus/platform/devices/nic0"));
  t.is(pciDeviceBelow("platform", "nic0", sysfs.root), undefined);
  t.true(hasPciDriver("vfio-pci", sysfs.root));
  t.false(hasPciDriver("ixgbe", sysfs.root));
});

test("what shares the group is found, bridges left out", (t) => {
  const sysfs = make({ [NIC]: "e1000e", "0000:01:00.1": "e1000e", "0000:00:1c.0": "pcieport" });
  t.deepEqual(groupMates(found(NIC, sysfs), sysfs.root), [
    { address: "0000:01:00.1", driver: "e1000e", group: "7" },
  ]);
});

test("handed over and given back: each write, in order", async (t) => {
  const sysfs = make({ [NIC]: "e1000e" });
  await bindToVfio(found(NIC, sysfs), sysfs);
  const device = `bus/pci/devices/${NIC}`;
  t.deepEqual(sysfs.written, [
    `${device}/driver_override vfio-pci`,
    `${device}/driver/unbind ${NIC}`,
    `bus/pci/drivers_probe ${NIC}`,
  ]);
  t.is(found(NIC, sysfs).driver, "vfio-pci");
  sysfs.written.length = 0;
  await bindBack(NIC, "e1000e", sysfs);
  t.deepEqual(sysfs.written, [
    `${device}/driver_override `,
    `${device}/driver/unbind ${NIC}`,
    `bus/pci/drivers/e1000e/bind ${NIC}`,
  ]);
  t.is(found(NIC, sysfs).driver, "e1000e");
});

test("given back from wherever on the way it was left, twice, and when it is gone", async (t) => {
  for (const driver of ["vfio-pci", undefined, "e1000e"]) {
    const sysfs = make({ [NIC]: driver });
    await bindBack(NIC, "e1000e", sysfs);
    await bindBack(NIC, "e1000e", sysfs);
    t.is(found(NIC, sysfs).driver, "e1000e");
    await t.notThrowsAsync(bindBack("0000:09:00.0", "e1000e", sysfs));
  }
});

test("a device that vfio-pci does not take is an error that names it", async (t) => {
  const sysfs = make({ [NIC]: "e1000e" }, true);
  const error = await t.throwsAsync(bindToVfio(found(NIC, sysfs), sysfs));
  t.regex(
    reasonOf(error),
    /^cannot hand over PCI device 0000:01:00\.0: vfio-pci did not take it: it has no driver;/,
  );
});
