import { accessSync, constants, statSync } from "node:fs";
import { errnoOf, TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { LoadedConfiguration } from "./load.ts";

/**
 * Checks that the files a VM is made of are there, before anything is acquired. Throws one error for all that
 * are not, naming key, path and where the key was set: NOT_FOUND, or INVALID_ARGUMENT when something else than a
 * usable file is there.
 */
export function checkFiles(loaded: LoadedConfiguration): void {
  const { path, kernel, initramfs, image } = loaded.configuration.hypervisor.qemu;
  const wanted = [
    { key: "path", file: path, mode: constants.X_OK },
    { key: "kernel", file: kernel, mode: constants.R_OK },
    { key: "initramfs", file: initramfs, mode: constants.R_OK },
    { key: "image", file: image, mode: constants.R_OK },
  ];
  const faults = wanted.flatMap(({ key, file, mode }) => {
    const fault = faultOf(file, mode);
    return fault === undefined ? [] : [{ key, file, ...fault }];
  });
  if (faults.length === 0) return;
  throw new TapirError({
    code: faults.some(({ missing }) => missing) ? Code.NOT_FOUND : Code.INVALID_ARGUMENT,
    operation: "start",
    object: "a VM",
    cause: faults.map(({ key, file, reason }) => `${setting(loaded, key)} = "${file}" ${reason}`).join("; "),
    hint: wayOut(faults.map(({ key }) => key)),
    ...(faults.some(({ missing }) => missing) ? { errno: "ENOENT" } : {}),
  });
}

interface Fault {
  readonly reason: string;
  readonly missing: boolean;
}

function faultOf(file: string, mode: number): Fault | undefined {
  try {
    if (!statSync(file).isFile()) return { reason: "is not a regular file", missing: false };
    accessSync(file, mode);
    return undefined;
  } catch (thrown) {
    const errno = errnoOf(thrown);
    if (errno === "ENOENT" || errno === "ENOTDIR") return { reason: "does not exist", missing: true };
    if (errno !== "EACCES")
      return { reason: `cannot be looked at (${errno ?? String(thrown)})`, missing: false };
    return { reason: mode === constants.X_OK ? "is not executable" : "cannot be read", missing: false };
  }
}

function setting(loaded: LoadedConfiguration, key: string): string {
  const path = `hypervisor.qemu.${key}`;
  return `${path} (${loaded.origins.get(path) ?? "built-in default"})`;
}

function wayOut(keys: readonly string[]): string {
  const install = [
    ...(keys.includes("path") ? ["QEMU (apt-get install qemu-system-x86)"] : []),
    ...(keys.some((key) => key !== "path") ? ["the guest image (npm run guest)"] : []),
  ];
  return `install ${install.join(" and ")} or set the path in the configuration`;
}
