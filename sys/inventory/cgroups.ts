import { join } from "node:path";
import { readMounts } from "./mountinfo.ts";
import { readEntries } from "./read.ts";
import type { Things } from "./things.ts";

/** Every cgroup of every mounted hierarchy, version 1 and 2. */
export function listCgroups(mark: string | undefined): Things {
  const mounts = readMounts().filter(({ type }) => type === "cgroup" || type === "cgroup2");
  const paths = [...new Set(mounts.map(({ target }) => target))].flatMap(below);
  const wanted = mark === undefined ? paths : paths.filter((path) => path.includes(mark));
  return Object.fromEntries(wanted.map((path) => [path, ""]));
}

function below(path: string): string[] {
  return readEntries(path)
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => [join(path, entry.name), ...below(join(path, entry.name))]);
}
