import type { Deadline } from "../../sys/deadline.ts";

/** Lets at most `limit` jobs run at once, the others in the order in which they came. */
export function inParallel(limit: number): <T>(work: () => Promise<T>, deadline: Deadline) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  const next = (): void => {
    running--;
    waiting.shift()?.();
  };
  return async (work, deadline) => {
    if (running >= limit) {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.push(resolve);
      try {
        await deadline.race(promise);
      } catch (error) {
        const at = waiting.indexOf(resolve);
        if (at === -1) waiting.shift()?.();
        else waiting.splice(at, 1);
        throw error;
      }
    }
    running++;
    try {
      return await work();
    } finally {
      next();
    }
  };
}
