import { isAlive } from "../sys/identity.ts";
import { ledgerOwner } from "../sys/ledger.ts";
import { nodeSandboxes } from "./sandboxes.ts";
import { table } from "./table.ts";

/** `tapir list`. */
export function list(options: { readonly json?: boolean }): void {
  const sandboxes = nodeSandboxes().map((place) => {
    const shim = ledgerOwner(place.directory);
    return { ...place, shimPid: shim?.pid, alive: shim !== undefined && isAlive(shim) };
  });
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify(sandboxes, undefined, 2)}\n`
      : table(
          ["SANDBOX", "NAMESPACE", "SHIM"],
          sandboxes.map(({ id, namespace, shimPid, alive }) => [
            id,
            namespace,
            alive ? `pid ${shimPid}` : "gone; run tapir cleanup",
          ]),
        ),
  );
}
