/** `warm`, run by the set-up: loads what a pod loads, so that it is kept compiled (shim/first.ts). */
export async function warm(): Promise<void> {
  await import("./start.ts");
  await import("./delete.ts");
  await (await import("./serve.ts")).loadAll();
}
