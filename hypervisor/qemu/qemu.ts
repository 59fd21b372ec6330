import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { Deadline } from "../../sys/deadline.ts";
import { wrapError } from "../../sys/error.ts";
import { socketOf } from "../../sys/fdpass.ts";
import type { ActContext, Ledger } from "../../sys/ledger.ts";
import { checkSocketPath } from "../../sys/socket-path.ts";
import type { VmSpec } from "../hypervisor.ts";
import { admit } from "./admit.ts";
import { type ArgumentContext, type QemuArguments, qemuArguments } from "./arguments.ts";
import { confinementOf, pickUser } from "./confinement.ts";
import { recordConsole } from "./console.ts";
import { checkFiles } from "./files.ts";
import { launch } from "./launch.ts";
import { openSockets } from "./sockets.ts";
import { type QemuVm, type WatchedVm, watchVm } from "./vm.ts";

export interface Qemu {
  /** Resolves when QEMU accepted its command line and answers QMP; the guest is booting then. */
  start(spec: VmSpec, ledger: Ledger, deadline: Deadline, options?: QemuOptions): Promise<QemuVm>;
}

/** What a VM with a template needs besides its spec. */
export interface QemuOptions extends Pick<ArgumentContext, "memory" | "incoming"> {
  /** QEMU lives on when this process dies: another one is to have it. */
  readonly outlives?: boolean;
}

/** The hypervisor that runs each VM in a QEMU process of its own. */
export function createQemu(): Qemu {
  return { start };
}

async function start(
  spec: VmSpec,
  ledger: Ledger,
  deadline: Deadline,
  options: QemuOptions = {},
): Promise<QemuVm> {
  const { imageBytes } = await checkFiles(spec);
  const agentSocket = join(spec.directory, "agent.sock");
  const consoleLog = join(spec.directory, "console.log");
  checkSocketPath(agentSocket, "set a shorter runtime.state_dir or factory.path");
  await ledger.acquire("hypervisor.console", { kind: "file", path: consoleLog }, () => undefined);
  await ledger.acquire("hypervisor.socket", { kind: "file", path: agentSocket }, () => undefined);
  const token = randomUUID();
  const process = await ledger.acquire("hypervisor.spawn", { kind: "process", token }, (context) =>
    spawnQemu({ spec, options, agentSocket, consoleLog, imageBytes, token, context, deadline }),
  );
  return process.value.handOver(process.release);
}

interface Spawning {
  readonly spec: VmSpec;
  readonly options: QemuOptions;
  readonly agentSocket: string;
  readonly consoleLog: string;
  readonly imageBytes: number;
  readonly token: string;
  readonly context: ActContext;
  readonly deadline: Deadline;
}

/** Monitor and console are socket pairs made before QEMU is: no path to wait for, and QEMU's death is their end. */
async function spawnQemu(spawning: Spawning): Promise<WatchedVm> {
  const { spec, options, token, context, deadline } = spawning;
  using sockets = openSockets(spawning.agentSocket);
  const { monitor, console } = sockets;
  const transport = { socket: socketOf(monitor.ours), fd: monitor.ours };
  const recorded = recordConsole(socketOf(console.ours), spawning.consoleLog);
  try {
    const { argv, inherit, topology }: QemuArguments = qemuArguments(spec, {
      ...options,
      imageBytes: spawning.imageBytes,
      agentFd: sockets.agent,
      qmpFd: monitor.theirs,
      consoleFd: console.theirs,
    });
    const user = pickUser();
    // Until it answers, or has ended.
    using _admitted = options.memory === undefined ? undefined : await admit(user, options.memory);
    const process = await launch(spec.qemu, argv, inherit, token, {
      ...confinementOf(spec, user),
      outlives: options.outlives,
      cgroups: spec.cgroups,
    });
    sockets.closeTheirs();
    if (process.identity !== undefined) context.amend({ kind: "process", token, ...process.identity });
    const sharedMemory = options.memory?.shared ?? true;
    const consoleFd = console.ours;
    const parts = {
      spec,
      process,
      transport,
      console: recorded,
      consoleFd,
      topology,
      sharedMemory,
      deadline,
    };
    const vm = await watchVm(parts);
    context.onRelease(vm.quit);
    return vm;
  } catch (error) {
    transport.socket.destroy();
    recorded.close();
    throw wrapError(error, { operation: "start", object: `VM ${spec.name}` });
  }
}
