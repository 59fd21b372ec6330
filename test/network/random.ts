/** Numbers and choices that follow from a seed: a failing case can be had again. */
export interface Random {
  /** 0 to `below` - 1. */
  number(below: number): number;
  /** True in one of `of` cases. */
  oneIn(of: number): boolean;
  pick<T>(choices: readonly T[]): T;
  /** Up to `most` things. */
  some<T>(most: number, make: (at: number) => T): T[];
}

export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  // mulberry32
  const next = (): number => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const number = (below: number): number => Math.floor(next() * below);
  return {
    number,
    oneIn: (of) => number(of) === 0,
    pick(choices) {
      const chosen = choices[number(choices.length)];
      if (chosen === undefined) throw new Error("nothing to pick from");
      return chosen;
    },
    some: (most, make) => Array.from({ length: number(most + 1) }, (_, at) => make(at)),
  };
}
