import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { wrapError } from "../../sys/error.ts";
import type { VmPlan } from "../hypervisor.ts";
import { qemuArguments } from "../qemu/arguments.ts";

/** Changes whenever templates of before cannot be used any more, whatever the reason. */
const FORMAT = 1;

/** MAC under which the guest of a template got to know its NIC. */
export const WARM_MAC = "02:74:61:70:69:72";

/** Everything a template depends on, by name: what differs names why a template is stale. */
export type KeyParts = Readonly<Record<string, string>>;

/** The files a VM is made of: their identity is part of the key. */
export function filesOf(plan: VmPlan): Readonly<Record<string, string>> {
  const { qemu, kernel, initramfs, image } = plan;
  return { qemu, kernel, initramfs, image };
}

/**
 * Reads what a template for `plan` depends on. Files count by identity (device, inode, size, time of change), not by
 * content: reading them takes longer than restoring. Errors: a file that is not there.
 */
export function readKeyParts(plan: VmPlan): KeyParts {
  const files = Object.entries(filesOf(plan)).map(([role, path]) => [role, fingerprint(path)]);
  const { size } = statSync(plan.image);
  return { format: String(FORMAT), ...Object.fromEntries(files), arguments: commandLine(plan, size) };
}

/** Pure: one name for all parts. */
export function templateKey(parts: KeyParts): string {
  const sorted = Object.keys(parts)
    .toSorted()
    .map((name) => [name, parts[name]]);
  return createHash("sha256").update(JSON.stringify(sorted)).digest("hex").slice(0, 32);
}

/** Names of the parts that are not the same. Pure. */
export function differentParts(a: KeyParts, b: KeyParts): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])]
    .filter((name) => a[name] !== b[name])
    .toSorted();
}

/** Another file, or the same one written to, has another. */
export function fingerprint(path: string): string {
  try {
    const { dev, ino, size, mtimeNs } = statSync(path, { bigint: true });
    return [dev, ino, size, mtimeNs].join(":");
  } catch (error) {
    throw wrapError(error, { operation: "look at", object: path });
  }
}

/** The command line of a VM without what is different in each pod; accelerator, CPU, memory, devices and kernel's words are in it. */
function commandLine(plan: VmPlan, imageBytes: number): string {
  const { firstNic } = plan;
  const fds = new Array<number>(firstNic?.queues ?? 0).fill(0);
  const nic = { id: "warm", mac: WARM_MAC, tapFds: fds, vhostFds: firstNic?.vhost === true ? fds : [] };
  const spec = { ...plan, name: "template", directory: "/", nics: firstNic === undefined ? [] : [nic] };
  return qemuArguments(spec, { agentFd: 0, qmpFd: 0, consoleFd: 0, imageBytes }).argv.join(" ");
}
