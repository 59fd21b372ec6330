import { readFileSync } from "node:fs";
import { join } from "node:path";
import { findCycles } from "./cycles.ts";
import type { Check, Problem } from "./problem.ts";
import { lightPrograms, type Room, rooms, testImports, testPackages } from "./rooms.ts";
import { type Import, isGenerated, isTest, readSources, type Source } from "./source.ts";

/** Imports obey `rooms.ts`; no circle between files or rooms; every package is declared and used. */
export const importsCheck: Check = {
  name: "imports",
  async run(root) {
    const sources = readSources(root);
    const manifest = readFileSync(join(root, "package.json"), "utf8");
    return {
      problems: [
        ...sources.flatMap(roomProblems),
        ...cycleProblems(sources),
        ...lightProblems(sources),
        ...packageProblems(sources, JSON.parse(manifest)),
      ],
      note: `${sources.length} files, ${rooms.length} rooms`,
    };
  },
};

/** The room a file lies in: the longest path of the table. */
export function roomOf(path: string): Room | undefined {
  const around = rooms.filter((room) => path.startsWith(`${room.path}/`));
  return around.sort((left, right) => right.path.length - left.path.length)[0];
}

function roomProblems(source: Source): Problem[] {
  const room = roomOf(source.path);
  if (room === undefined) {
    return [{ file: source.path, text: "lies in no room; move it or add its folder to checks/rooms.ts" }];
  }
  return source.imports.flatMap((entry): Problem[] => {
    const text = refuse(source, room, entry);
    return text === undefined ? [] : [{ file: source.path, text }];
  });
}

function refuse(source: Source, room: Room, entry: Import): string | undefined {
  if (entry.kind === "package") {
    const allowed = isTest(source.path) ? [...room.packages, ...testPackages] : room.packages;
    return allowed.includes(entry.target) ? undefined : `${room.path} may not use package "${entry.target}"`;
  }
  if (!entry.target.endsWith(".ts")) return `imports ${entry.target}, which does not end in .ts`;
  if (isTest(entry.target)) return `imports the test ${entry.target}`;
  const allowed = isTest(source.path) ? [...room.imports, ...testImports] : room.imports;
  return mayImport(room, allowed, entry.target) ? undefined : `${room.path} may not import ${entry.target}`;
}

function mayImport(room: Room, allowed: readonly string[], target: string): boolean {
  return allowed.includes("*") || [room.path, ...allowed].some((path) => target.startsWith(`${path}/`));
}

function cycleProblems(sources: readonly Source[]): Problem[] {
  const own = sources.filter(({ path }) => !isGenerated(path));
  // Types count: who reads a file has to know those it names, too.
  const files = new Map(own.map((source) => [source.path, fileTargets(source)]));
  const betweenRooms = new Map<string, Set<string>>();
  for (const source of own.filter(({ path }) => !isTest(path))) {
    const from = roomOf(source.path)?.path ?? "";
    const targets = betweenRooms.get(from) ?? new Set();
    for (const target of fileTargets(source)) {
      const to = roomOf(target)?.path ?? "";
      if (to !== from) targets.add(to);
    }
    betweenRooms.set(from, targets);
  }
  return [...findCycles(files), ...findCycles(betweenRooms)].map((cycle) => {
    return { file: cycle[0] ?? "", text: `imports go in a circle: ${cycle.join(" -> ")}` };
  });
}

function fileTargets(source: Source): Set<string> {
  return new Set(source.imports.filter(({ kind }) => kind === "file").map(({ target }) => target));
}

function lightProblems(sources: readonly Source[]): Problem[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  return lightPrograms.flatMap(({ file, without }) => {
    const found = new Map<string, string>();
    const seen = new Set<string>();
    const visit = (path: string, trail: string): void => {
      if (seen.has(path)) return;
      seen.add(path);
      for (const entry of byPath.get(path)?.imports ?? []) {
        if (entry.lazy || entry.typeOnly) continue;
        if (entry.kind === "file") visit(entry.target, `${trail} -> ${entry.target}`);
        else if (without.includes(entry.target)) found.set(entry.target, `${trail} -> ${entry.target}`);
      }
    };
    visit(file, file);
    return [...found].map(([name, trail]) => ({
      file,
      text: `must start fast, but loads ${name}: ${trail}`,
    }));
  });
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

function packageProblems(sources: readonly Source[], manifest: Manifest): Problem[] {
  const installed = new Set(Object.keys(manifest.dependencies ?? {}));
  const declared = new Set([...installed, ...Object.keys(manifest.devDependencies ?? {})]);
  const used = new Set(
    sources.flatMap(({ imports }) =>
      imports.filter(({ kind }) => kind === "package").map(({ target }) => target),
    ),
  );
  return [
    ...[...used]
      .filter((name) => !declared.has(name))
      .map((name) => ({ file: "package.json", text: `"${name}" is imported but not declared` })),
    ...[...installed]
      .filter((name) => !used.has(name))
      .map((name) => ({ file: "package.json", text: `dependency "${name}" is imported nowhere` })),
  ];
}
