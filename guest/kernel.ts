import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";
import { loadOrder, type ModuleGraph, moduleName, parseModulesDep } from "./modules.ts";
import { runTool } from "./tool.ts";

/** An unpacked kernel package. */
export interface Kernel {
  /** As `uname -r` will say. */
  readonly release: string;
  readonly image: string;
  /** /lib/modules/<release> of the package, depmod's files included. */
  readonly modules: string;
  readonly graph: ModuleGraph;
  readonly builtin: ReadonlySet<string>;
}

/** Finds kernel and modules below `tree` and has depmod write down what needs what. */
export async function openKernel(tree: string): Promise<Kernel> {
  const [image] = globSync(join(tree, "boot/vmlinuz-*"));
  if (image === undefined) {
    throw new TapirError({
      code: Code.NOT_FOUND,
      operation: "find",
      object: "boot/vmlinuz-*",
      cause: "the kernel package does not hold it",
    });
  }
  const release = basename(image).slice("vmlinuz-".length);
  await runTool("depmod", ["-b", tree, release]);
  const modules = join(tree, "lib/modules", release);
  return {
    release,
    image,
    modules,
    graph: parseModulesDep(readFileSync(join(modules, "modules.dep"), "utf8")),
    builtin: new Set(
      readFileSync(join(modules, "modules.builtin"), "utf8").trim().split("\n").map(moduleName),
    ),
  };
}

/** Paths below `kernel.modules` of the named modules and their needs, in loading order. */
export function selectModules(kernel: Kernel, names: readonly string[]): string[] {
  return loadOrder(names, kernel.graph, kernel.builtin);
}
