import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join, posix } from "node:path";

/** One import or re-export of a TypeScript file. */
export interface Import {
  /** Path from the root for our own files, package name for packages; Node's modules are left out. */
  readonly target: string;
  readonly kind: "file" | "package";
  /** Loaded when it is called for: `await import`. */
  readonly lazy: boolean;
  /** Gone at run time: `import type` of the whole statement. */
  readonly typeOnly: boolean;
  /** What is imported by name; "*" for everything. */
  readonly names: readonly string[];
}

export interface Source {
  /** Path from the root, with slashes. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

const skippedFolders = new Set(["node_modules", "build", ".git", "results"]);

/** Every TypeScript file below `root`, generated ones included, in the order of their paths. */
export function readSources(root: string): readonly Source[] {
  return listSources(root).map((path) => {
    const text = readFileSync(join(root, path), "utf8");
    return { path, text, imports: importsOf(path, text) };
  });
}

/** The paths of every TypeScript file below `root`, from the root, in order. */
export function listSources(root: string): readonly string[] {
  return listFiles(root, "");
}

function listFiles(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .sort((left, right) => (left.name < right.name ? -1 : 1))
    .flatMap((entry) => {
      const path = posix.join(folder, entry.name);
      if (entry.isDirectory()) return skippedFolders.has(entry.name) ? [] : listFiles(root, path);
      return entry.isFile() && entry.name.endsWith(".ts") ? [path] : [];
    });
}

export const isGenerated = (path: string): boolean => path.startsWith("proto/gen/");
export const isTest = (path: string): boolean => path.endsWith(".test.ts");

// The formatter puts every statement at the start of a line and every module name in double quotes.
const statement = /^(?:import|export)\s+(type\s+)?([^;"']*?)\s*from\s+"([^"]+)"|^import\s+"([^"]+)"/gm;
const lazyCall = /\bimport\(\s*"([^"]+)"\s*\)/g;

/** The imports of one file, read from its text. */
export function importsOf(path: string, source: string): readonly Import[] {
  const text = source.replace(/^\s*(?:\/?\*|\/\/).*$/gm, "");
  const eager = [...text.matchAll(statement)].map((match) => {
    const [, typeOnly, clause = "", from, bare] = match;
    return {
      name: from ?? bare ?? "",
      typeOnly: typeOnly !== undefined,
      lazy: false,
      names: namesOf(clause),
    };
  });
  const lazy = [...text.matchAll(lazyCall)].map(([, name = ""]) => {
    return { name, typeOnly: false, lazy: true, names: ["*"] };
  });
  return [...eager, ...lazy].flatMap(({ name, ...rest }) => {
    const target = targetOf(path, name);
    return target === undefined ? [] : [{ ...target, ...rest }];
  });
}

function namesOf(clause: string): readonly string[] {
  const braces = clause.match(/\{([^}]*)\}/)?.[1];
  if (braces === undefined) return ["*"];
  return braces
    .split(",")
    .map((part) =>
      (
        part
          .trim()
          .replace(/^type\s+/, "")
          .split(/\s+as\s+/)[0] ?? ""
      ).trim(),
    )
    .filter((name) => name !== "");
}

function targetOf(path: string, name: string): Pick<Import, "target" | "kind"> | undefined {
  if (name.startsWith(".")) return { target: posix.join(posix.dirname(path), name), kind: "file" };
  if (name.startsWith("node:") || builtinModules.includes(name)) return undefined;
  const parts = name.split("/");
  return { target: parts.slice(0, name.startsWith("@") ? 2 : 1).join("/"), kind: "package" };
}
