import type { ShareCache } from "../storage.ts";
import type { VirtiofsdFlavour } from "./find.ts";

/** What a server is told. */
export interface ServerSettings {
  readonly directory: string;
  readonly cache: ShareCache;
  /** Its number of the listening socket. */
  readonly listeningFd: number;
  /** The server has one open for each file that the guest knows: bounds what a guest can make the host hold. */
  readonly maxOpenFiles: number;
}

/**
 * Both: namespaces of its own with the folder as root, never less; extended attributes, which carry file capabilities;
 * mounts below the folder are file systems of their own in the guest, or files of different ones would share inode
 * numbers; requests are served by the queue's own thread, which is quickest for one guest.
 */
export function virtiofsdArguments(flavour: VirtiofsdFlavour, settings: ServerSettings): string[] {
  return flavour === "c" ? optionsOfC(settings) : optionsOfRust(settings);
}

/** virtiofsd of QEMU 5.2 to 7.2 (docs/tools/virtiofsd.rst there). Its seccomp filter cannot be turned off. */
function optionsOfC({ directory, cache, listeningFd, maxOpenFiles }: ServerSettings): string[] {
  const options = [
    `source=${directory.replaceAll(/[\\,]/g, "\\$&")}`,
    `cache=${cache}`,
    "sandbox=namespace",
    "announce_submounts",
    "xattr",
    "log_level=warn",
  ];
  return [
    `--fd=${listeningFd}`,
    "--thread-pool-size=0",
    `--rlimit-nofile=${maxOpenFiles}`,
    "-o",
    options.join(","),
  ];
}

/** virtiofsd 1.x (gitlab.com/virtio-fs/virtiofsd). Without file handles it needs no right to open files by them. */
function optionsOfRust({ directory, cache, listeningFd, maxOpenFiles }: ServerSettings): string[] {
  return [
    `--fd=${listeningFd}`,
    `--shared-dir=${directory}`,
    `--cache=${cache === "none" ? "never" : cache}`,
    "--sandbox=namespace",
    "--seccomp=kill",
    "--announce-submounts",
    "--xattr",
    "--inode-file-handles=never",
    "--thread-pool-size=0",
    `--rlimit-nofile=${maxOpenFiles}`,
    "--log-level=warn",
  ];
}

/**
 * What it needs to make its namespaces and to drop what it does not need, and to act on files as the guest's users; it keeps
 * only the latter itself.
 */
export const CAPABILITIES = [
  "sys_admin",
  "setpcap",
  "chown",
  "dac_override",
  "fowner",
  "fsetid",
  "setgid",
  "setuid",
  "mknod",
  "setfcap",
] as const;
