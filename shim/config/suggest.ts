import { schemaKeys } from "./schema.ts";

/**
 * The path of the key that was probably meant: the same name in another section, the key's name in
 * Kata Containers, or the nearest spelling; undefined when nothing is near.
 */
export function nearestKey(path: string): string | undefined {
  const name = path.slice(path.lastIndexOf(".") + 1);
  const keys = [...schemaKeys.values()];
  const sameName = keys.find((entry) => entry.name === name || entry.key.kata === name);
  if (sameName !== undefined) return sameName.path;
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const entry of keys) {
    // A misspelt section counts too, but less than a misspelt key.
    const distance =
      spellingDistance(name, entry.name) +
      (path === entry.path ? 0 : 0.1 * spellingDistance(path, entry.path));
    if (distance < bestDistance) {
      best = entry.path;
      bestDistance = distance;
    }
  }
  return best;
}

/** Number of letters to insert, delete or replace (Levenshtein). */
function spellingDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[right.length] ?? left.length;
}
