import { join } from "node:path";
import type { Deadline } from "../../sys/deadline.ts";
import { wrapError } from "../../sys/error.ts";
import type { ProcessIdentity } from "../../sys/identity.ts";
import { duplicate } from "../../sys/unix-socket.ts";
import type { Vm, VmExit, VmNic, VmNics, VmSpec } from "../hypervisor.ts";
import { connectQmp, type QmpClient, type QmpTransport, resumeQmp } from "../qmp/client.ts";
import { isEvent } from "../qmp/events.ts";
import type { GuestConsole } from "./console.ts";
import { rootPortAddress } from "./devices.ts";
import { consoleShowsPanic, exitError } from "./exit.ts";
import { hostDeviceKind } from "./host-device-kind.ts";
import { createHotplug, type Hotplug } from "./hotplug.ts";
import type { VmmProcess } from "./launch.ts";
import { nicKind } from "./nic-kind.ts";
import { createPorts } from "./ports.ts";
import { queueProgress } from "./queue-progress.ts";
import { settledWithin } from "./settled-within.ts";
import { createSizing } from "./sizing.ts";
import { createStorage } from "./storage.ts";
import type { Topology } from "./topology.ts";

/** A VM as the rooms of `hypervisor/qemu` see it. */
export interface QemuVm extends Vm {
  readonly nics: Hotplug<VmNic> & VmNics;
  readonly qmp: QmpClient;
  /** Lets go of it without ending it; this one is of no use any more. */
  cede(): CededVm;
}

/** A VM for another process to adopt. */
export interface CededVm {
  readonly identity: ProcessIdentity;
  readonly token: string;
  readonly qemuVersion: string;
  readonly sharedMemory: boolean;
  /** Owned by whoever holds this. */
  readonly descriptors: VmDescriptors;
}

/** The ends of QEMU's streams. */
export interface VmDescriptors {
  readonly monitor: number;
  readonly console: number;
  readonly stderr: number;
}

/** A VM whose process is not yet wholly in the ledger. */
export interface WatchedVm {
  /** Asks QEMU to end and waits for it, at most the spec's `quitMs`. Never rejects because QEMU is gone already. */
  quit(deadline: Deadline): Promise<void>;
  /** The VM; `release` ends the process by way of the ledger. */
  handOver(release: () => Promise<void>): QemuVm;
}

export interface VmParts {
  readonly spec: VmSpec;
  readonly process: VmmProcess;
  readonly transport: QmpTransport;
  readonly console: GuestConsole;
  /** The descriptor below `console`. */
  readonly consoleFd: number;
  /** QEMU's version, when somebody else has greeted it and waits for no answer any more. */
  readonly greetedBefore?: string;
  readonly topology: Topology;
  /** Whether another process can be given the guest's memory. */
  readonly sharedMemory: boolean;
  readonly deadline: Deadline;
}

/** Where the spec does not say: QEMU ends within 10 ms of `quit`; one that is stuck is not worth waiting for. */
const QUIT_MS = 2000;
/** It was gone before it could be looked at. */
const NEVER_SEEN: VmExit = { code: undefined, signal: undefined, guestPanicked: false, stderrTail: "" };
/** Between the end of a process and the end of a stream that it held. */
const SETTLE_MS = 500;
/** Between the end of the monitor and the exit that explains it; a busy machine takes its time over the end of a process. */
const EXPLAIN_MS = 3000;

/** Waits until QEMU answers QMP, or says why it ended instead. */
export async function watchVm(parts: VmParts): Promise<WatchedVm> {
  const { spec, process, transport, console, deadline } = parts;
  let panicked = false;
  const exited: Promise<VmExit> = process.exited.then(async (exit) => {
    await settledWithin(console.ended, SETTLE_MS);
    console.close();
    return { ...exit, guestPanicked: panicked || consoleShowsPanic(console.tail()) };
  });
  const explainLoss = async (): Promise<unknown> => {
    if (!(await settledWithin(exited, EXPLAIN_MS))) return `QEMU of ${spec.name} closed its monitor`;
    return exitError(spec.name, await exited, console.tail());
  };
  const { greetedBefore } = parts;
  const qmp =
    greetedBefore === undefined
      ? await connectQmp(transport, explainLoss, deadline)
      : resumeQmp(transport, explainLoss, greetedBefore);
  qmp.onEvent((event) => {
    if (isEvent(event, "GUEST_PANICKED")) panicked = true;
  });

  let quitting: Promise<void> | undefined;
  const quit = (quitDeadline: Deadline): Promise<void> => {
    quitting ??= (async () => {
      const limit = quitDeadline.within(spec.quitMs ?? QUIT_MS, `quit QEMU of ${spec.name}`);
      // QEMU may be gone before its answer is read: what counts is the exit.
      qmp.execute("quit", undefined, limit).catch(() => undefined);
      await limit.race(exited);
    })();
    return quitting;
  };
  const plugs = { vm: spec.name, qmp, ports: createPorts(parts.topology) };
  const hostDevices = {
    ...createHotplug(plugs, hostDeviceKind(process.pid, spec)),
    portOf(id: string) {
      const number = plugs.ports.numberOf(id);
      return number === undefined ? undefined : rootPortAddress(number);
    },
  };
  const handOver = (release: () => Promise<void>): QemuVm => ({
    pid: process.pid,
    agentSocket: join(spec.directory, "agent.sock"),
    exited,
    qmp,
    nics: { ...createHotplug(plugs, nicKind), queueProgress: (nic, limit) => queueProgress(qmp, nic, limit) },
    hostDevices,
    storage: createStorage({
      ...plugs,
      directory: spec.directory,
      sharedMemory: parts.sharedMemory,
      cgroups: spec.cgroups,
    }),
    sizing: createSizing(plugs, spec, spec.most ?? spec),
    consoleTail: console.tail,
    cede() {
      const { identity, token, stderr } = process;
      if (identity === undefined) throw exitError(spec.name, NEVER_SEEN, "");
      const { sharedMemory } = parts;
      const descriptors = {
        monitor: duplicate(transport.fd),
        console: duplicate(parts.consoleFd),
        stderr: duplicate(stderr.fd),
      };
      qmp.close();
      console.close();
      stderr.close();
      return { identity, token, qemuVersion: qmp.version, sharedMemory, descriptors };
    },
    async stop(stopDeadline) {
      await quit(stopDeadline).catch(() => undefined);
      try {
        await release();
        await exited;
      } catch (error) {
        throw wrapError(error, { operation: "stop", object: `VM ${spec.name}` });
      }
    },
  });
  return { quit, handOver };
}
