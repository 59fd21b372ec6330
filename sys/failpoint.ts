import { TapirError } from "./error.ts";
import { Code } from "./status.ts";

/**
 * Named points at which a test makes a step fail: `TAPIR_FAILPOINTS="network.tap=error,hypervisor.spawn=kill"`.
 * The names are the ledger's steps: `<step>` fails before the acquisition, `<step>!` after it, `<step>~` before it is undone;
 * `task.<verb>` for calls of the Task API, `storage.background` before a pod opens its folder share unasked,
 * and `ledger.removed` between the end of the ledger and of its directory. With `meet:<path>` somebody listening on that unix socket is told each point
 * as it is reached (a line `<pid> <name>`), does what he wants, and answers with what is to happen (`go`, or an action).
 * Off unless the variable is set.
 */
const setting = process.env.TAPIR_FAILPOINTS ?? "";
const MEETING = "meet:";

const actions = new Map<string, string>(
  setting
    .split(",")
    .filter((term) => term.includes("="))
    .map((term) => [term.slice(0, term.indexOf("=")), term.slice(term.indexOf("=") + 1)]),
);

export async function failpoint(name: string): Promise<void> {
  if (setting === "") return;
  const action = setting.startsWith(MEETING)
    ? await meet(setting.slice(MEETING.length), name)
    : actions.get(name);
  if (action === undefined || action === "go") return;
  if (action === "kill") process.kill(process.pid, "SIGKILL");
  if (action === "hang") {
    await new Promise(() => undefined);
    return;
  }
  throw new TapirError({ code: Code.ABORTED, operation: "pass", object: `failpoint ${name}` });
}

async function meet(path: string, name: string): Promise<string> {
  const { createConnection } = await import("node:net");
  return new Promise((resolve) => {
    let answer = "";
    const socket = createConnection(path, () => socket.write(`${process.pid} ${name}\n`));
    socket.on("data", (chunk) => {
      answer += String(chunk);
    });
    // Nobody there is nobody who wants something to fail.
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(answer.trim() === "" ? "go" : answer.trim()));
  });
}
