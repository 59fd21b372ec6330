import type { CommandFailure } from "../../proto/gen/tapir/agent/v1/container.ts";

/** What shells answer for a program that is not there, and for one that cannot be run. */
const NOT_FOUND = 127;
const NOT_RUNNABLE = 126;

/** Texts of crun (1.8) about the command, its folder and its user; everything else is an error of the call. */
const COMMAND =
  /executable|exec container process|^exec:|chdir|working directory|\bcwd\b|setresuid|setgroups/i;

/** Whether crun failed because of the command that it was to run, and how a shell would have ended. */
export function commandFailure(message: string): CommandFailure | undefined {
  if (!COMMAND.test(message)) return undefined;
  const missing = /No such file or directory|not found/i.test(message);
  return { exitStatus: missing ? NOT_FOUND : NOT_RUNNABLE, reason: message };
}
