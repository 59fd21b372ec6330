import { constants } from "node:os";
import type { Vm, VmExit } from "../../hypervisor/hypervisor.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { type Ledger, openLedger } from "../../sys/ledger.ts";
import { stateDirectoryFile } from "../bundle-files.ts";
import type { GuestContainers } from "../containers-client.ts";
import { openPortForward, type PodPortForward } from "../port-forward/port-forward.ts";
import { checkSandboxDirectory, sandboxDirectory } from "../state/directory.ts";
import { startTimeline } from "../state/timeline.ts";
import { createPodStorage, type PodStorage } from "../storage/pod-storage.ts";
import { openPodNetwork, type PodNetwork } from "./network.ts";
import type { Pod, PodContext, PodExit } from "./pod.ts";
import { makePodCgroups } from "./pod-cgroup.ts";
import { podNetns, taskNetns } from "./pod-netns.ts";
import { createPodSize, type PodSize } from "./pod-size.ts";
import { readSettings } from "./settings.ts";
import { startVm } from "./start-vm.ts";
import { startsAreOver } from "./turn.ts";

const VM_END_MS = 300;
/** The agent's, and containerd's: a restored guest is not asked for what it has. */
const USUAL_SHM_BYTES = 64n << 20n;

/** A pod in a VM of its own. Owns the pod's ledger, and with it everything the pod has on this machine. */
export function openSandbox(context: PodContext): Pod {
  const { log } = context;
  let ledger: Ledger | undefined;
  let vm: Vm | undefined;
  let network: PodNetwork | undefined;
  let storage: PodStorage | undefined;
  let portForward: PodPortForward | undefined;
  let size: PodSize | undefined;
  let stopMs = 0;
  /** Into which the network of a container on its own comes, between its creation and its start. */
  let laterNetns: string | undefined;

  return {
    async create(deadline) {
      const timeline = startTimeline(context.calledAtMs);
      timeline.add({ name: "shim start", startMs: 0, endMs: timeline.nowMs() });
      const settings = readSettings(context);
      if (settings.configuration.runtime.debug) context.showDebug();
      const spec = { ...context.spec, netns: podNetns(context.spec, settings.configuration) };
      const { runtime, agent: timeouts } = settings.configuration;
      const directory = sandboxDirectory(runtime.stateDir, spec.namespace, spec.id);
      stopMs = settings.timeoutMs(runtime.stopTimeoutSeconds);
      checkSandboxDirectory(directory);
      // First, so that whoever comes after a crash finds the ledger.
      stateDirectoryFile.write(spec.bundle, directory);
      ledger = openLedger(directory, {
        onHelpless: context.onHelpless,
        onStep: ({ milliseconds, ...step }) => log.debug("step", { ...step, ms: milliseconds.toFixed(1) }),
      });
      try {
        const limit = deadline.within(
          settings.timeoutMs(runtime.createTimeoutSeconds),
          `create sandbox ${spec.id}`,
        );
        const cgroups = await podCgroups(context, ledger);
        const started = await startVm({ spec, settings, ledger, timeline, log, cgroups, deadline: limit });
        vm = started.vm;
        await configurePod(context, started.agent.containers, limit);
        const requestMs = settings.timeoutMs(timeouts.requestTimeoutSeconds);
        const { agent } = started;
        laterNetns = taskNetns(spec, settings.configuration, vm.pid);
        const netns = spec.netns ?? laterNetns;
        network = openPodNetwork({ ...started, netns, settings, ledger, requestMs, log });
        if (started.expectsDevices) await network.sync(limit);
        const { serveManagement } = await import("../management.ts");
        await serveManagement({ agent, network }, ledger, requestMs);
        if (settings.configuration.network.monitor) network.follow();
        timeline.write(directory);
        const { containers } = agent;
        const createMs = settings.timeoutMs(runtime.createTimeoutSeconds);
        const { virtiofsd, sharedFsCache } = settings.configuration.hypervisor.qemu;
        storage = createPodStorage({
          ...{ vm, containers, ledger, log, shareMs: createMs },
          ...{ server: virtiofsd, cache: sharedFsCache },
          startsAreOver: (waiting) => startsAreOver(settings, waiting),
          measure: (name, work) => timeline.measure(name, work).finally(() => timeline.write(directory)),
        });
        portForward = openPortForward({ netns: spec.netns, agent: started.agent, ledger, log, requestMs });
        size = createPodSize({ sizing: vm.sizing, containers, log, shrinkMs: createMs });
        const lost = endWithoutFiles({ storage, vm, stopMs }, log);
        const giveBack = network.giveBack;
        const exited = vm.exited.then(async (exit) => {
          await giveBack().catch((failure) => log.error("cannot give a device back", { error: failure }));
          return exitOf(exit, lost());
        });
        return {
          pid: vm.pid,
          exited,
          guest: { containers, storage, size, ledger, limits: { createMs, requestMs } },
        };
      } catch (error) {
        await network?.close();
        await ledger.unwind().catch((failure: unknown) => {
          log.error("cannot undo a failed start; the shim's delete tries again", { error: failure });
        });
        throw error;
      }
    },
    // The sandbox container needs no process in the guest; the containers that come will need their files.
    async start(deadline) {
      if (laterNetns !== undefined) await network?.sync(deadline);
      storage?.begin();
      portForward?.begin();
    },
    async stop(deadline) {
      size?.close();
      await network?.close();
      await vm?.stop(deadline.within(stopMs, `stop sandbox ${context.spec.id}`));
    },
    async close() {
      size?.close();
      await storage?.close();
      await portForward?.close();
      await network?.close();
      await ledger?.unwind();
    },
  };
}

/** Where the pod is counted; a node that does not let us do that still runs pods. */
async function podCgroups({ spec, log }: PodContext, ledger: Ledger): Promise<string[]> {
  try {
    return await makePodCgroups(spec.cgroupsPath, ledger);
  } catch (error) {
    log.warn("the pod's processes are not in its cgroup", { path: spec.cgroupsPath, error });
    return [];
  }
}

/** Settings of the guest's kernel, and a /dev/shm of another size than usual; most pods have none. */
async function configurePod({ spec }: PodContext, guest: GuestContainers, deadline: Deadline): Promise<void> {
  const { sysctls, shmBytes } = spec;
  const isUsual = shmBytes === 0n || shmBytes === USUAL_SHM_BYTES;
  if (Object.keys(sysctls).length === 0 && isUsual) return;
  await guest.configurePod({ sysctls: { ...sysctls }, shmBytes }, deadline);
}

/** A guest whose files are gone waits for them for ever: its pod ends. Returns why, once it has happened. */
function endWithoutFiles(
  { storage, vm, stopMs }: { readonly storage: PodStorage; readonly vm: Vm; readonly stopMs: number },
  log: PodContext["log"],
): () => string | undefined {
  let reason: string | undefined;
  void storage.lost.then(async (cause) => {
    // A VM that ends takes the server of its files along, which may be noticed first.
    const ends = deadlineIn(VM_END_MS, "see whether the VM ends").race(vm.exited);
    if (
      await ends.then(
        () => true,
        () => false,
      )
    ) {
      return;
    }
    reason = `its files are gone: ${cause}`;
    log.error("the pod ends, because its files are gone", { cause });
    await vm.stop(deadlineIn(stopMs, "stop a VM without files")).catch((error: unknown) => {
      log.error("cannot stop a VM without files", { error });
    });
  });
  return () => reason;
}

function exitOf({ code, signal, stderrTail, guestPanicked }: VmExit, before?: string): PodExit {
  const ending = signal === undefined ? `QEMU exited with code ${code}` : `QEMU was killed by ${signal}`;
  return {
    status: signal === undefined ? 255 : 128 + (constants.signals[signal as NodeJS.Signals] ?? 9),
    reason: [before ?? "", guestPanicked ? `the guest kernel panicked; ${ending}` : ending, stderrTail]
      .filter((part) => part !== "")
      .join(": "),
  };
}
