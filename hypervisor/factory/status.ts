import { statSync } from "node:fs";
import { join } from "node:path";
import { allocatedIn } from "../../sys/memory-file.ts";
import { changedFiles } from "./evict.ts";
import { differentParts, type KeyParts, templateKey } from "./key.ts";
import { type Misfortune, recallMisfortune } from "./misfortune.ts";
import { damageOf, listTemplates, MEMORY_FILE, type StoredTemplate } from "./store.ts";

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
  /**
   * Whether it is the wanted one, can be used by pods of another configuration, or by none any more: what it was made from has
   * changed, or its own files are broken.
   */
  readonly state: "current" | "other" | "stale" | "damaged";
  /** What is different from the wanted one, or has changed since: names of parts of the key. */
  readonly differs: readonly string[];
  /** What is wrong with the files of one that is damaged. */
  readonly damage: string | undefined;
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
  const damage = damageOf(directory, key);
  const changed = manifest === undefined ? [] : changedFiles(manifest);
  const sound = key === wanted ? "current" : changed.length > 0 ? "stale" : "other";
  const state = damage === undefined ? sound : "damaged";
  return {
    key,
    state,
    damage,
    differs: state === "other" ? differentParts(parts, manifest?.parts ?? {}) : changed,
    allocatedBytes: takenBy(join(directory, key, MEMORY_FILE)),
    ageSeconds: manifest === undefined ? 0 : (Date.now() - manifest.createdAt) / 1000,
    hits,
    buildMs: manifest?.buildMs,
    qemuVersion: manifest?.qemuVersion,
  };
}

function takenBy(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? 0 : allocatedIn(found);
}
