import { flushCompileCache } from "node:module";

/** `warm`, run by the set-up: loads what a pod loads, so that Node keeps it compiled. */
export async function warm(): Promise<void> {
  await import("./start.ts");
  await import("./delete.ts");
  await (await import("./serve.ts")).loadAll();
  flushCompileCache();
}
