import { TapirError } from "./error.ts";
import { Code } from "./status.ts";

/**
 * Named points at which a test makes a step fail: `TAPIR_FAILPOINTS="network.tap=error,hypervisor.spawn=kill"`.
 * The names are the ledger's steps; `<step>` fails before the acquisition, `<step>!` after it.
 * Off unless the variable is set.
 */
const failpoints = new Map<string, string>(
  (process.env.TAPIR_FAILPOINTS ?? "")
    .split(",")
    .filter((term) => term.includes("="))
    .map((term) => [term.slice(0, term.indexOf("=")), term.slice(term.indexOf("=") + 1)]),
);

export async function failpoint(name: string): Promise<void> {
  const action = failpoints.get(name);
  if (action === undefined) return;
  if (action === "kill") process.kill(process.pid, "SIGKILL");
  if (action === "hang") {
    await new Promise(() => undefined);
    return;
  }
  throw new TapirError({ code: Code.ABORTED, operation: "pass", object: `failpoint ${name}` });
}
