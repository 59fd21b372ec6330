import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { BUILT, PROJECT } from "./project.ts";

/** A CNI configuration list (cni.dev spec 0.4.0). */
export interface CniConflist {
  name: string;
  cniVersion: string;
  plugins: { type: string; [key: string]: unknown }[];
}

/** Writes `configs/cni/10-tapir.conflist`, with its address store below `directory`, and returns the CNI conf dir. */
export function writeCni(
  directory: string,
  change: (conflist: CniConflist) => CniConflist = (conflist) => conflist,
): string {
  const target = join(directory, "cni");
  mkdirSync(target);
  const text = readFileSync(`${PROJECT}/configs/cni/10-tapir.conflist`, "utf8");
  const conflist = JSON.parse(text) as CniConflist;
  const [bridge, ...others] = conflist.plugins;
  const ipam = { ...(bridge?.ipam as object), dataDir: join(directory, "cni-addresses") };
  const own = { ...conflist, plugins: [{ type: "bridge", ...bridge, ipam }, ...others] };
  writeFileSync(join(target, "10-tapir.conflist"), JSON.stringify(change(own), null, 2));
  return target;
}

/**
 * Writes a private configuration.toml that names what the set-up built and keeps state below `directory`; `configuration` is
 * a drop-in that changes it. Returns its path.
 */
export function writeConfiguration(
  directory: string,
  stateDirectory: string,
  {
    configuration,
    tbSizeMiB,
  }: { readonly configuration?: string; readonly tbSizeMiB?: number | undefined } = {},
): string {
  const path = join(directory, "configuration.toml");
  writeFileSync(
    path,
    `[hypervisor.qemu]
kernel = "${BUILT.guest}/vmlinuz"
initramfs = "${BUILT.guest}/initramfs.cpio"
image = "${BUILT.guest}/root.erofs"
${tbSizeMiB === undefined ? "" : `tcg_tb_size_mib = ${tbSizeMiB}\n`}[runtime]
state_dir = "${stateDirectory}"
debug = true
[factory]
path = "${BUILT.factory}"
`,
  );
  if (configuration !== undefined) {
    mkdirSync(join(directory, "config.d"));
    writeFileSync(join(directory, "config.d/50-test.toml"), configuration);
  }
  return path;
}

/** A directory with the machine's CNI plugins and `plugins`, which are shell scripts. */
export function writePlugins(directory: string, plugins: Readonly<Record<string, string>>): string {
  const target = join(directory, "cni-bin");
  mkdirSync(target);
  const machines = cniBinDirectory();
  for (const name of readdirSync(machines)) symlinkSync(join(machines, name), join(target, name));
  for (const [name, script] of Object.entries(plugins)) {
    writeFileSync(join(target, name), script, { mode: 0o755 });
  }
  return target;
}

const CNI_DIRECTORIES = ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];

/** Where this machine has its CNI plugins. */
export function cniBinDirectory(): string {
  const found = CNI_DIRECTORIES.find((one) => existsSync(`${one}/bridge`) && existsSync(`${one}/host-local`));
  if (found !== undefined) return found;
  throw new TapirError({
    code: Code.NOT_FOUND,
    operation: "find",
    object: "the CNI plugins bridge and host-local",
    cause: `not in ${CNI_DIRECTORIES.join(", ")}`,
    hint: "install containernetworking-plugins",
  });
}
