import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { BOOT_MODULES } from "./boot-modules.ts";
import { type CpioEntry, writeCpio } from "./cpio.ts";
import { type Kernel, selectModules } from "./kernel.ts";
import { moduleName } from "./modules.ts";

const APPLETS = ["sh", "cat", "mount", "umount", "modprobe", "switch_root"];

export interface InitramfsInputs {
  readonly kernel: Kernel;
  /** The static busybox. */
  readonly busybox: string;
  /** Template of /init; @KEY@ and @EXEC@ are filled in. */
  readonly init: string;
  /** Names the root image that this initramfs belongs to. */
  readonly key: string;
  /** What becomes process 1 of the root, with its arguments. */
  readonly exec: readonly string[];
}

/**
 * The initramfs: busybox, the drivers that lead to the root image, and /init. Not compressed: under emulation
 * unpacking costs more than copying.
 */
export function buildInitramfs(inputs: InitramfsInputs): Buffer {
  const { kernel, key, exec } = inputs;
  const modules = selectModules(kernel, BOOT_MODULES);
  const home = `lib/modules/${kernel.release}`;
  const dependencies = modules.map(
    (path) => `${path}: ${(kernel.graph.get(path) ?? []).toReversed().join(" ")}\n`,
  );
  const init = readFileSync(inputs.init, "utf8")
    .replaceAll("@KEY@", key)
    .replaceAll("@EXEC@", exec.join(" "));
  const files: CpioEntry[] = [
    { kind: "file", path: "init", mode: 0o755, content: Buffer.from(init) },
    { kind: "file", path: "bin/busybox", mode: 0o755, content: readFileSync(inputs.busybox) },
    ...APPLETS.map((name): CpioEntry => ({ kind: "symlink", path: `bin/${name}`, target: "busybox" })),
    { kind: "file", path: "modules", content: Buffer.from(`${modules.map(moduleName).join(" ")}\n`) },
    { kind: "file", path: `${home}/modules.dep`, content: Buffer.from(dependencies.join("")) },
    ...modules.map(
      (path): CpioEntry => ({
        kind: "file",
        path: `${home}/${path}`,
        content: readFileSync(join(kernel.modules, path)),
      }),
    ),
    // The kernel opens it for /init before anything is mounted.
    { kind: "device", path: "dev/console", mode: 0o600, rdev: [5, 1] },
  ];
  return writeCpio([...directoriesOf(files, ["proc", "sys", "root"]), ...files]);
}

function directoriesOf(files: readonly CpioEntry[], more: readonly string[]): CpioEntry[] {
  const paths = new Set<string>(more);
  for (const { path } of files) {
    for (let parent = dirname(path); parent !== "."; parent = dirname(parent)) paths.add(parent);
  }
  return [...paths].sort().map((path) => ({ kind: "directory", path }));
}
