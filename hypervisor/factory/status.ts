import { statSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../../sys/error.ts";
import { changedFiles } from "./evict.ts";
import { differentParts, type KeyParts, templateKey } from "./key.ts";
import { type Misfortune, recallMisfortune } from "./misfortune.ts";
import { listTemplates, MEMORY_FILE, type StoredTemplate } from "./store.ts";

/** What an operator wants to know of the factory. */
export interface FactoryStatus {
  readonly directory: string;
  /** Key of the template that a pod of the node's configuration would be restored from. */
  readonly wanted: string;
  /** Why there is none, when building it failed not long ago. */
  readonly misfortune: Misfortune | undefined;
  readonly templates: readonly TemplateStatus[];
}

export interface TemplateStatus {
  readonly key: string;
  /** Whether it is the wanted one, can be used by pods of another configuration, or by none any more. */
  readonly state: "current" | "other" | "stale";
  /** What is different from the wanted one, or has changed since: names of parts of the key. */
  readonly differs: readonly string[];
  /** Bytes of tmpfs that it takes now. */
  readonly allocatedBytes: number;
  readonly ageSeconds: number;
  /** How many guests were restored from it. */
  readonly hits: number;
  readonly buildMs: number | undefined;
  readonly qemuVersion: string | undefined;
}

export function factoryStatus(directory: string, parts: KeyParts): FactoryStatus {
  const wanted = templateKey(parts);
  return {
    directory,
    wanted,
    misfortune: recallMisfortune(directory, wanted),
    templates: listTemplates(directory).map((template) => templateStatus(directory, parts, wanted, template)),
  };
}

function templateStatus(
  directory: string,
  parts: KeyParts,
  wanted: string,
  { key, hits, manifest }: StoredTemplate,
): TemplateStatus {
  const changed = manifest === undefined ? ["manifest"] : changedFiles(manifest);
  const state = key === wanted ? "current" : changed.length > 0 ? "stale" : "other";
  return {
    key,
    state: manifest === undefined ? "stale" : state,
    differs: state === "other" ? differentParts(parts, manifest?.parts ?? {}) : changed,
    allocatedBytes: allocatedIn(join(directory, key, MEMORY_FILE)),
    ageSeconds: manifest === undefined ? 0 : (Date.now() - manifest.createdAt) / 1000,
    hits,
    buildMs: manifest?.buildMs,
    qemuVersion: manifest?.qemuVersion,
  };
}

function allocatedIn(path: string): number {
  try {
    return statSync(path).blocks * 512;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return 0;
    throw error;
  }
}
