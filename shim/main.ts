import { parseArguments } from "./bootstrap.ts";

/**
 * `containerd-shim-tapir-v2`, behind shim/launch.sh. Loads only what the command needs: containerd waits for `start`
 * with every pod and for `delete` at its end. Nothing but the answer may reach stdout or, for `start`, stderr.
 */
async function main(): Promise<void> {
  const invocation = parseArguments(process.argv.slice(2));
  switch (invocation.command) {
    case "start":
      return (await import("./start.ts")).start(invocation);
    case "delete":
      return (await import("./delete.ts")).deleteCommand(invocation);
    case "warm":
      return (await import("./warm.ts")).warm();
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
