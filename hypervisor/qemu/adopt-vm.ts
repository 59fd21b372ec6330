import { join } from "node:path";
import { joinCgroups } from "../../sys/cgroup.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { TapirError, wrapError } from "../../sys/error.ts";
import { closeAll, socketOf } from "../../sys/fdpass.ts";
import type { Ledger } from "../../sys/ledger.ts";
import { isAlive } from "../../sys/process.ts";
import { shareFate } from "../../sys/shared-fate.ts";
import { Code } from "../../sys/status.ts";
import type { VmSpec } from "../hypervisor.ts";
import { recordConsole } from "./console.ts";
import { adopt } from "./launch.ts";
import { createTopology } from "./topology.ts";
import { type CededVm, type QemuVm, type WatchedVm, watchVm } from "./vm.ts";

/**
 * Makes a VM that another process started this one's. It is in this ledger before `claim` runs, which makes the other process
 * forget it and puts the agent's socket at `agentSocket`; all root ports are free. When this rejects the VM is gone.
 */
export async function adoptVm(
  spec: VmSpec,
  ceded: CededVm,
  claim: (agentSocket: string) => Promise<void>,
  ledger: Ledger,
  deadline: Deadline,
): Promise<QemuVm> {
  const { identity, token } = ceded;
  const agentSocket = join(spec.directory, "agent.sock");
  const consoleLog = join(spec.directory, "console.log");
  let console: Awaited<ReturnType<typeof ledger.acquire>> | undefined;
  let socket: typeof console;
  let watched = false;
  try {
    console = await ledger.acquire("hypervisor.console", { kind: "file", path: consoleLog }, () => undefined);
    socket = await ledger.acquire("hypervisor.socket", { kind: "file", path: agentSocket }, () => undefined);
    const entry = { kind: "process", token, ...identity } as const;
    const process = await ledger.acquire("hypervisor.adopt", entry, async ({ onRelease }) => {
      if (!isAlive(identity)) throw gone(spec);
      await claim(agentSocket);
      // As a child of ours: what is refused of the first would not have kept it from running either.
      shareFate(identity.pid);
      joinCgroups(identity.pid, spec.cgroups ?? []);
      watched = true;
      const vm = await watch(spec, ceded, consoleLog, deadline);
      onRelease(vm.quit);
      return vm;
    });
    return process.value.handOver(process.release);
  } catch (error) {
    if (!watched) closeAll(Object.values(ceded.descriptors));
    await socket?.release();
    await console?.release();
    throw wrapError(error, { operation: "adopt", object: `VM ${spec.name}` });
  }
}

function watch(
  spec: VmSpec,
  { identity, token, qemuVersion, sharedMemory, descriptors }: CededVm,
  consoleLog: string,
  deadline: Deadline,
): Promise<WatchedVm> {
  return watchVm({
    spec,
    process: adopt(identity, token, descriptors.stderr),
    transport: { socket: socketOf(descriptors.monitor), fd: descriptors.monitor },
    console: recordConsole(socketOf(descriptors.console), consoleLog),
    consoleFd: descriptors.console,
    greetedBefore: qemuVersion,
    topology: createTopology(spec.rootPorts),
    sharedMemory,
    deadline,
  });
}

function gone(spec: VmSpec): TapirError {
  return new TapirError({
    code: Code.UNAVAILABLE,
    operation: "adopt",
    object: `VM ${spec.name}`,
    cause: "its QEMU is gone",
  });
}
