import type { Deadline } from "../../sys/deadline.ts";
import { TapirError, wrapError } from "../../sys/error.ts";
import { runProgram } from "../../sys/run-program.ts";
import { Code } from "../../sys/status.ts";
import type { OciHook, OciHookKind, OciSpec } from "./oci.ts";

/** What a hook is told of its container, on standard input (OCI runtime specification, "State"). */
export interface HookState {
  readonly id: string;
  readonly status: "creating" | "stopped";
  /** Whose network namespace is the container's; 0: it is gone. */
  readonly pid: number;
  readonly bundle: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/**
 * The hooks of a container on its own that run before it: nerdctl and Docker set up its network in them. The first that fails
 * is the container's end. Those of a pod's container are not run: its pod has what it needs.
 */
export async function runFirstHooks(
  hooks: OciSpec["hooks"],
  state: HookState,
  deadline: Deadline,
): Promise<void> {
  for (const kind of ["prestart", "createRuntime"] as const)
    for (const hook of hooks[kind]) await runHook(kind, hook, state, deadline);
}

/** The hooks that run once a container is gone: each of them, whatever the others do. Returns what failed. */
export async function runLastHooks(
  { poststop }: OciSpec["hooks"],
  state: HookState,
  deadline: Deadline,
): Promise<unknown[]> {
  const failures: unknown[] = [];
  for (const hook of poststop) {
    await runHook("poststop", hook, state, deadline).catch((error: unknown) => failures.push(error));
  }
  return failures;
}

async function runHook(
  kind: OciHookKind,
  hook: OciHook,
  state: HookState,
  deadline: Deadline,
): Promise<void> {
  const { path, args, env, timeout } = hook;
  const limit = timeout > 0 ? deadline.within(timeout * 1000, `run hook ${path}`) : deadline;
  const run = {
    command: path,
    argv: args.length === 0 ? [path] : args,
    env: Object.fromEntries(env.map(pair)),
    input: JSON.stringify({ ociVersion: "1.0.2", ...state }),
  };
  try {
    const { status, said } = await runProgram(run, limit);
    if (status !== 0) throw failed(status, said);
  } catch (error) {
    throw wrapError(error, { operation: `run the ${kind} hook`, object: path });
  }
}

function pair(word: string): [string, string] {
  const at = word.indexOf("=");
  return at === -1 ? [word, ""] : [word.slice(0, at), word.slice(at + 1)];
}

function failed(status: number, said: string): TapirError {
  const cause = said === "" ? `it ended with ${status}` : `it ended with ${status} and said: ${said}`;
  return new TapirError({ code: Code.FAILED_PRECONDITION, operation: "use", object: "its answer", cause });
}
