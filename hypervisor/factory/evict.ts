import { errnoOf } from "../../sys/error.ts";
import { fingerprint } from "./key.ts";
import type { Manifest } from "./manifest.ts";
import { forgetOldMisfortunes } from "./misfortune.ts";
import { listTemplates, removeTemplate, type StoredTemplate } from "./store.ts";

/** Templates of pods that differ in size: more are not kept, each takes its memory. */
export const MAX_TEMPLATES = 4;

/**
 * Removes what cannot be used any more, and of the rest what was not used for the longest time; `keep` stays. So does what is
 * remembered of templates that could not be made, as long as it counts.
 */
export function evictTemplates(store: string, keep: string): void {
  for (const key of superfluous(listTemplates(store), keep)) removeTemplate(store, key);
  forgetOldMisfortunes(store);
}

/** Keys to remove. */
export function superfluous(templates: readonly StoredTemplate[], keep: string): string[] {
  const others = templates.filter(({ key }) => key !== keep);
  const useless = others.filter(
    ({ manifest }) => manifest === undefined || changedFiles(manifest).length > 0,
  );
  const usable = others
    .filter((template) => !useless.includes(template))
    .toSorted((a, b) => b.usedAt - a.usedAt);
  return [...useless, ...usable.slice(MAX_TEMPLATES - 1)].map(({ key }) => key);
}

/** Roles of the files that are not those any more that the template was made from. */
export function changedFiles({ files, parts }: Manifest): string[] {
  return Object.entries(files).flatMap(([role, path]) => (identityOf(path) === parts[role] ? [] : [role]));
}

function identityOf(path: string): string | undefined {
  try {
    return fingerprint(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
