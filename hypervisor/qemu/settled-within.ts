/** Whether `work` settled within `milliseconds`; what it settled with is the caller's to ask. The timer does not outlive the answer. */
export async function settledWithin(work: Promise<unknown>, milliseconds: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(() => resolve(false), milliseconds);
  const settled = work.then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([settled, promise]);
  } finally {
    clearTimeout(timer);
  }
}
