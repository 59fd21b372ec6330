import { serveConfiguredCache } from "../shim/factory/cache-server.ts";
import { reasonOf } from "../sys/error.ts";

/** `tapir factory serve`: keeps restored guests ready for pods until it is told to end. What it does goes to stderr, the journal's. */
export async function serveFactory(): Promise<void> {
  const ending = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => ending.abort());
  const report = (message: string, error?: unknown): void => {
    const cause = error === undefined ? "" : `: ${reasonOf(error)}`;
    process.stderr.write(`tapir factory: ${message}${cause}\n`);
  };
  await serveConfiguredCache(report, ending.signal);
  // Connections to guests that are gone need not be waited for.
  process.exit(0);
}
