import type { OciProcess } from "./oci.ts";

/** A process inside the guest: labels of the host's security modules go. */
export function guestProcess(wanted: OciProcess): { process: OciProcess; ignored: string[] } {
  const { apparmorProfile = "", selinuxLabel = "", ...rest } = wanted;
  const ignored: string[] = [];
  if (apparmorProfile !== "" && apparmorProfile !== "unconfined")
    ignored.push(`AppArmor profile ${JSON.stringify(apparmorProfile)}: the guest has none`);
  if (selinuxLabel !== "")
    ignored.push(`SELinux label ${JSON.stringify(selinuxLabel)}: the guest has no policy`);
  return { process: rest, ignored };
}
