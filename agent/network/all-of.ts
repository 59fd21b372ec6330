/**
 * Waits for all that was begun, and rejects with what failed first in its order. Netlink requests begun in one turn go to the kernel in
 * one piece.
 */
export async function allOf(begun: readonly Promise<void>[]): Promise<void> {
  const settled = await Promise.allSettled(begun);
  const failed = settled.find((one) => one.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
