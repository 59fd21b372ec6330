/** Runs jobs on the same key one after the other, jobs on different keys side by side. */
export function createTurns(): <T>(key: string, job: () => Promise<T>) => Promise<T> {
  const last = new Map<string, Promise<unknown>>();
  return async (key, job) => {
    const before = last.get(key);
    const turn = (async () => {
      await before?.catch(() => undefined);
      return job();
    })();
    last.set(key, turn);
    try {
      return await turn;
    } finally {
      if (last.get(key) === turn) last.delete(key);
    }
  };
}
