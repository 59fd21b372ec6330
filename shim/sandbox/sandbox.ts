import { constants } from "node:os";
import type { Vm, VmExit } from "../../hypervisor/hypervisor.ts";
import { TapirError } from "../../sys/error.ts";
import { type Ledger, openLedger } from "../../sys/ledger.ts";
import { Code } from "../../sys/status.ts";
import { stateDirectoryFile } from "../bundle-files.ts";
import { serveManagement } from "../management.ts";
import { sandboxDirectory } from "../state/directory.ts";
import { startTimeline } from "../state/timeline.ts";
import type { Pod, PodContext, PodExit } from "./pod.ts";
import { readSettings } from "./settings.ts";
import { startVm } from "./start-vm.ts";
import type { WorkloadStorage } from "./workload-storage.ts";

/** A pod in a VM of its own. Owns the pod's ledger, and with it everything the pod has on this machine. */
export function openSandbox(context: PodContext): Pod {
  const { spec, log } = context;
  let ledger: Ledger | undefined;
  let vm: Vm | undefined;

  return {
    async create(deadline) {
      const timeline = startTimeline(context.calledAtMs);
      timeline.add({ name: "shim start", startMs: 0, endMs: timeline.nowMs() });
      const settings = readSettings(context);
      const { runtime, agent: timeouts } = settings.configuration;
      const directory = sandboxDirectory(runtime.stateDir, spec.namespace, spec.id);
      // First, so that whoever comes after a crash finds the ledger.
      stateDirectoryFile.write(spec.bundle, directory);
      ledger = openLedger(directory);
      try {
        const limit = deadline.within(
          settings.timeoutMs(runtime.createTimeoutSeconds),
          `create sandbox ${spec.id}`,
        );
        const started = await startVm({ spec, settings, ledger, timeline, log, deadline: limit });
        vm = started.vm;
        await serveManagement(started.agent, ledger, settings.timeoutMs(timeouts.requestTimeoutSeconds));
        timeline.write(directory);
        const guest = {
          containers: started.agent.containers,
          storage: noStorage,
          ledger,
          limits: {
            createMs: settings.timeoutMs(runtime.createTimeoutSeconds),
            requestMs: settings.timeoutMs(timeouts.requestTimeoutSeconds),
          },
        };
        return { pid: vm.pid, exited: vm.exited.then(exitOf), guest };
      } catch (error) {
        await ledger.unwind().catch((failure: unknown) => {
          log.error("cannot undo a failed start; the shim's delete tries again", { error: failure });
        });
        throw error;
      }
    },
    // The sandbox container needs no process in the guest.
    async start() {},
    async stop(deadline) {
      await vm?.stop(deadline);
    },
    async close() {
      await ledger?.unwind();
    },
  };
}

const noStorage: WorkloadStorage = {
  async prepare({ containerId }) {
    throw new TapirError({
      code: Code.UNIMPLEMENTED,
      operation: "share the root file system of",
      object: `container ${containerId}`,
      cause: "workload containers are not implemented yet",
    });
  },
};

function exitOf({ code, signal, stderrTail, guestPanicked }: VmExit): PodExit {
  const ending = signal === undefined ? `QEMU exited with code ${code}` : `QEMU was killed by ${signal}`;
  return {
    status: signal === undefined ? 255 : 128 + (constants.signals[signal as NodeJS.Signals] ?? 9),
    reason: [guestPanicked ? `the guest kernel panicked; ${ending}` : ending, stderrTail]
      .filter((part) => part !== "")
      .join(": "),
  };
}
