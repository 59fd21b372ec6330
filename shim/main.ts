import { enableCompileCache } from "node:module";
import { parseArguments } from "./bootstrap.ts";

/**
 * `containerd-shim-tapir-v2`. Loads only what the command needs: containerd waits for `start` with every pod and for
 * `delete` at its end. Nothing but the answer may reach stdout or, for `start`, stderr.
 */
async function main(): Promise<void> {
  const invocation = parseArguments(process.argv.slice(2));
  switch (invocation.command) {
    case "start":
      return (await import("./start.ts")).start(invocation);
    case "delete":
      return (await import("./delete.ts")).deleteCommand(invocation);
    case "serve":
      // Compiled code of the large part is shared by all pods; a cache that fails is no reason not to start.
      enableCompileCache({ directory: `${import.meta.dirname}/cache`, portable: true });
      return (await import("./serve.ts")).serve(invocation);
    case "version":
      return (await import("./info.ts")).printVersion();
    case "info":
      return (await import("./info.ts")).printInfo();
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`tapir: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
