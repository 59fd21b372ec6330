import { TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";

/** Path of each module below /lib/modules/<release>, and the paths it needs, as in modules.dep (modules.dep(5)). */
export type ModuleGraph = ReadonlyMap<string, readonly string[]>;

/** Parses modules.dep. depmod lists the needs of a module so that the last one has to be loaded first. */
export function parseModulesDep(text: string): ModuleGraph {
  const graph = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [path, needs] = line.split(":");
    if (path === undefined || needs === undefined) continue;
    graph.set(path, needs.trim() === "" ? [] : needs.trim().split(/\s+/).reverse());
  }
  return graph;
}

/** The name under which the kernel knows a module: dashes are underscores. */
export function moduleName(path: string): string {
  const file = path.slice(path.lastIndexOf("/") + 1);
  return file.replace(/\.ko(\.\w+)?$/, "").replaceAll("-", "_");
}

/**
 * The modules named, and all they need, in an order in which they can be loaded. Throws when a name is not
 * there; names in `builtin` (modules.builtin) need no file and are left out.
 */
export function loadOrder(
  names: readonly string[],
  graph: ModuleGraph,
  builtin: ReadonlySet<string>,
): string[] {
  const pathOf = new Map([...graph.keys()].map((path) => [moduleName(path), path]));
  const order = new Set<string>();
  for (const name of names.map(moduleName)) {
    if (builtin.has(name)) continue;
    const path = pathOf.get(name);
    if (path === undefined) {
      throw new TapirError({
        code: Code.NOT_FOUND,
        operation: "find",
        object: `kernel module ${name}`,
        cause: "the kernel package does not hold it",
      });
    }
    for (const need of graph.get(path) ?? []) order.add(need);
    order.add(path);
  }
  return [...order];
}
