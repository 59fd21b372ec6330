/**
 * Begins all of them, which the kernel does in this order, and waits for all: what each waits for is its acknowledgement
 * only. Rejects with what failed first in the order.
 */
export async function allOf<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const settled = await Promise.allSettled(items.map(work));
  const failed = settled.find((one) => one.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
