import type { Link } from "../../sys/netlink/records.ts";
import type { HostDevice } from "../discover.ts";

const ETHERNET = 1;

/** A NIC of the node, or a virtual function of one: the kernel says no kind of links that a driver made. */
export const isPhysical = ({ kind, type }: Link): boolean => kind === undefined && type === ETHERNET;

/** The device, when it can be handed to the VM; else why it cannot, and what can be done instead. */
export function usableDevice(
  device: HostDevice | undefined,
): HostDevice | { readonly cause: string; readonly hint: string } {
  const what = "it is a physical device";
  if (device === undefined)
    return { cause: `${what} that does not say where on the PCI bus it is`, hint: ON_TOP };
  const { address, driver, group, mates, vfio } = device;
  if (group === undefined) {
    return {
      cause: `${what}, and this node has no IOMMU to hand it over with`,
      hint: `turn the IOMMU on (intel_iommu=on), or ${ON_TOP}`,
    };
  }
  const busy = mates.filter((mate) => mate.driver !== undefined && !HARMLESS.includes(mate.driver));
  if (busy.length > 0) {
    const others = busy.map((mate) => `${mate.address} (driver ${mate.driver})`).join(", ");
    return {
      cause: `${what}, and IOMMU group ${group} of ${address} has others in use too: ${others}`,
      hint: `take their drivers away, use a slot with ACS, or ${ON_TOP}`,
    };
  }
  if (!vfio)
    return {
      cause: `${what}, and nothing can hand it over`,
      hint: "load the kernel module: modprobe vfio-pci",
    };
  if (driver === undefined) return { cause: `${what} whose driver goes`, hint: "try again" };
  return device;
}

const ON_TOP = 'give the pod a macvlan or ipvlan on top of it, or use internetworking_model "none"';
/** A group may be handed over while these have the others: they do no DMA. */
const HARMLESS = ["vfio-pci", "pcieport", "pci-stub"];
