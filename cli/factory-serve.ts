import { serveConfiguredCache } from "../shim/factory/cache-server.ts";
import { codeOf, reasonOf } from "../sys/error.ts";
import { Code } from "../sys/status.ts";

/** sysexits.h; the systemd unit does not restart a server that ends with it. */
const EX_CONFIG = 78;
/** Whose fault the configuration is, and nothing but another one helps. */
const CONFIGURATION: readonly Code[] = [Code.FAILED_PRECONDITION, Code.INVALID_ARGUMENT];

/** `tapir factory serve`: keeps restored guests ready for pods until it is told to end. What it does goes to stderr, the journal's. */
export async function serveFactory(): Promise<void> {
  const ending = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => ending.abort());
  const report = (message: string, error?: unknown): void => {
    const cause = error === undefined ? "" : `: ${reasonOf(error)}`;
    process.stderr.write(`tapir factory: ${message}${cause}\n`);
  };
  try {
    await serveConfiguredCache(report, ending.signal);
  } catch (error) {
    report("it ends", error);
    process.exit(CONFIGURATION.includes(codeOf(error)) ? EX_CONFIG : 1);
  }
  // Connections to guests that are gone need not be waited for.
  process.exit(0);
}
