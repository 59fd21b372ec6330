import { TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";

/** One binary package as the package lists of apt describe it. */
export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
  /** Last part of its path in the archive; unlike `apt-get download`'s own name it holds no epoch. */
  readonly file: string;
  /** Names of the packages it needs; of alternatives the first. */
  readonly depends: readonly string[];
}

/** Parses the stanzas that `apt-cache show` prints (deb-control(5)); keeps the first of each name. */
export function parsePackages(text: string): Map<string, DebianPackage> {
  const packages = new Map<string, DebianPackage>();
  for (const stanza of text.split(/\n\n+/)) {
    const found = parseStanza(stanza);
    if (found !== undefined && !packages.has(found.name)) packages.set(found.name, found);
  }
  return packages;
}

function parseStanza(stanza: string): DebianPackage | undefined {
  const fields = new Map(
    stanza.split("\n").flatMap((line) => {
      const match = /^([A-Za-z0-9-]+): ?(.*)$/.exec(line);
      return match === null ? [] : [[match[1], match[2]] as const];
    }),
  );
  const name = fields.get("Package");
  const version = fields.get("Version");
  const sha256 = fields.get("SHA256");
  const file = fields.get("Filename")?.split("/").at(-1);
  if (name === undefined || version === undefined || sha256 === undefined || file === undefined) {
    return undefined;
  }
  const depends = [fields.get("Pre-Depends"), fields.get("Depends")].flatMap(parseDepends);
  return { name, version, sha256, file, depends };
}

/** "a (>= 1) | b, c:any" → ["a", "c"]. */
function parseDepends(text: string | undefined): string[] {
  if (text === undefined) return [];
  return text
    .split(",")
    .map((alternatives) => /^\s*([a-z0-9][a-z0-9.+-]*)/.exec(alternatives)?.[1])
    .filter((name) => name !== undefined);
}

/**
 * Everything `roots` need, themselves included, sorted by name. `show` looks up the given names; it is called
 * once per level of the dependency graph; `needsOf` may follow fewer dependencies than there are. Throws when a package is not in the lists.
 */
export async function closeOver(
  roots: readonly string[],
  show: (names: readonly string[]) => Promise<Map<string, DebianPackage>>,
  needsOf: (found: DebianPackage) => readonly string[] = ({ depends }) => depends,
): Promise<DebianPackage[]> {
  const found = new Map<string, DebianPackage>();
  let wanted = [...new Set(roots)];
  while (wanted.length > 0) {
    const shown = await show(wanted);
    const level = wanted.map((name) => known(shown, name));
    for (const one of level) found.set(one.name, one);
    const next = level.flatMap(needsOf);
    wanted = [...new Set(next)].filter((name) => !found.has(name)).sort();
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function known(packages: Map<string, DebianPackage>, name: string): DebianPackage {
  const found = packages.get(name);
  if (found !== undefined) return found;
  throw new TapirError({
    code: Code.NOT_FOUND,
    operation: "find",
    object: `Debian package ${name}`,
    cause: "it is not in apt's package lists",
    hint: "run apt-get update",
  });
}
