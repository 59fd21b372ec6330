import type { OciSpec } from "./oci.ts";

/** Annotations that crun, or runc with systemd, takes as orders. */
const ORDERS = /^(run\.oci\.|org\.systemd\.property\.)/;
const NAME_CHARACTERS = 128;

/** A line for each part of a specification that is left out because it is not for a guest, limits and devices apart. */
export function leftOut({ annotations = {}, domainname = "", hooks, linux = {} }: OciSpec): string[] {
  const { intelRdt, timeOffsets, mountLabel = "" } = linux;
  const orders = Object.keys(annotations).filter((name) => ORDERS.test(name));
  return [
    ...(isFilled(hooks) ? ["hooks: they are programs of the host, which the guest does not run"] : []),
    ...orders.map(
      (name) =>
        `annotation ${JSON.stringify(name.slice(0, NAME_CHARACTERS))}: it is for a runtime on the host`,
    ),
    ...(domainname === ""
      ? []
      : [`domainname ${JSON.stringify(domainname)}: the guest's names are the pod's`]),
    ...(isFilled(intelRdt) ? ["intelRdt: the guest has no such device"] : []),
    ...(isFilled(timeOffsets) ? ["timeOffsets: the guest's clocks are the pod's"] : []),
    ...(mountLabel === "" ? [] : [`mount label ${JSON.stringify(mountLabel)}: the guest has no policy`]),
  ];
}

/** Go writes what is empty as null, or as an object without fields. */
function isFilled(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length > 0;
}
