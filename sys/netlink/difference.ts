/** What turns `current` into `wanted`. */
export interface Difference<T> {
  readonly gone: readonly T[];
  readonly added: readonly T[];
  /** Same key, other content. */
  readonly changed: readonly { readonly from: T; readonly to: T }[];
}

/** Compares two sets by key. Orders are kept; of two wanted items with one key the last counts. */
export function difference<T>(
  current: readonly T[],
  wanted: readonly T[],
  keyOf: (item: T) => string,
  isSame: (current: T, wanted: T) => boolean,
): Difference<T> {
  const present = new Map(current.map((item) => [keyOf(item), item]));
  const goal = new Map(wanted.map((item) => [keyOf(item), item]));
  const added: T[] = [];
  const changed: { from: T; to: T }[] = [];
  for (const [key, to] of goal) {
    const from = present.get(key);
    if (from === undefined) added.push(to);
    else if (!isSame(from, to)) changed.push({ from, to });
  }
  return { gone: current.filter((item) => !goal.has(keyOf(item))), added, changed };
}
