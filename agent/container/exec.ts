import { rmSync, writeFileSync } from "node:fs";
import type { ExecProcessRequest, ExecProcessResponse } from "../../proto/gen/tapir/agent/v1/container.ts";
import type { Deadline } from "../../sys/deadline.ts";
import type { Exits, ProcessExit } from "../process/exits.ts";
import type { Container } from "./container.ts";
import { temporaryPath } from "./crun.ts";
import { guestProcess } from "./guest-process.ts";
import { launch } from "./launch.ts";
import { parseProcess } from "./parse-spec.ts";

const NO_STDIO = { stdin: false, stdout: false, stderr: false };

/** Runs one more process in a container. `tellExit` is called once, before anybody who waits for it. */
export async function execProcess(
  container: Container,
  request: ExecProcessRequest,
  exits: Exits,
  tellExit: (container: Container, execId: string, pid: number, exit: ProcessExit) => void,
  deadline: Deadline,
): Promise<ExecProcessResponse> {
  const { id, execs } = container;
  const { execId } = request;
  const { process } = guestProcess(parseProcess(request.process));
  execs.set(execId, "starting");
  const file = temporaryPath("json");
  try {
    const started = await container.inTurn(() => {
      writeFileSync(file, JSON.stringify(process));
      return launch(
        {
          operation: "run",
          object: `process ${execId} in container ${id}`,
          command: ["exec", "--detach", `--process=${file}`],
          operand: id,
          process,
          stdio: request.stdio ?? NO_STDIO,
          onExit: (exit, pid) => tellExit(container, execId, pid, exit),
        },
        exits,
        deadline,
      );
    }, deadline);
    if (started.kind === "failed") {
      execs.delete(execId);
      return { pid: 0, failure: started.failure };
    }
    execs.set(execId, started.process);
    return { pid: started.process.pid };
  } catch (error) {
    execs.delete(execId);
    throw error;
  } finally {
    rmSync(file, { force: true });
  }
}
