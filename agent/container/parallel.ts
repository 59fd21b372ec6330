import type { Deadline } from "../../sys/deadline.ts";

/** Lets at most `limit` jobs run at once, the others in the order in which they came. */
export function inParallel(limit: number): <T>(work: () => Promise<T>, deadline: Deadline) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  /** The turn goes to the next one, so that nobody gets in between. */
  const passOn = (): void => {
    const next = waiting.shift();
    if (next === undefined) running--;
    else next();
  };
  const takeTurn = async (deadline: Deadline): Promise<void> => {
    if (running < limit) {
      running++;
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.push(resolve);
    try {
      await deadline.race(promise);
    } catch (error) {
      const at = waiting.indexOf(resolve);
      // It was this one's turn already.
      if (at === -1) passOn();
      else waiting.splice(at, 1);
      throw error;
    }
  };
  return async (work, deadline) => {
    await takeTurn(deadline);
    try {
      return await work();
    } finally {
      passOn();
    }
  };
}
