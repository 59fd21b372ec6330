import type { Acquired, Ledger } from "./ledger.ts";

/** A ledger whose acquisitions can be given back together, before the rest. */
export interface LedgerScope {
  readonly ledger: Ledger;
  /** Undoes what was acquired through `ledger`, last first. What failed is tried again by the next call, and by the unwind. */
  release(): Promise<void>;
}

/** Opens a scope in `parent`, which holds every entry as well. */
export function scopeOf(parent: Ledger): LedgerScope {
  const held: Acquired<unknown>[] = [];
  return {
    ledger: {
      ...parent,
      async acquire(step, entry, act) {
        const acquired = await parent.acquire(step, entry, act);
        held.push(acquired);
        return acquired;
      },
    },
    async release() {
      for (let last = held.at(-1); last !== undefined; last = held.at(-1)) {
        await last.release();
        held.pop();
      }
    },
  };
}
