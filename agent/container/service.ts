import type { ServerDuplexStream, ServerWritableStream } from "@grpc/grpc-js";
import type {
  Event,
  EventsRequest,
  StdioRequest,
  StdioResponse,
} from "../../proto/gen/tapir/agent/v1/container.ts";
import type { ContainersServer } from "../../proto/gen/tapir/agent/v1/container_service.ts";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { log } from "../log.ts";
import { onlineResources } from "../online.ts";
import { carryConnection, dial } from "../port-forward.ts";
import type { Exits } from "../process/exits.ts";
import type { Process } from "../process/process.ts";
import { carryStdio } from "../process/stdio-stream.ts";
import { createStorages } from "../storage/storages.ts";
import { streaming } from "../streaming.ts";
import { unary, unaryWithoutLimit } from "../unary.ts";
import { createContainers } from "./containers.ts";
import { createEvents } from "./events.ts";
import { CGROUPS, POD_CGROUP } from "./paths.ts";
import { createPod } from "./pod.ts";
import {
  refuseConfigurePod,
  refuseCreateContainer,
  refuseId,
  refuseOnlineResources,
  refusePortForward,
  refuseProcess,
  refuseSignal,
  refuseStorage,
  refuseTerminalSize,
} from "./refuse.ts";
import { readStats } from "./stats.ts";
import { updateContainer } from "./update.ts";

/** Events that a host did not take yet; one that is so far behind has stopped reading. */
const MAX_WAITING_EVENTS = 4096;

/** Every RPC of `Containers`, each refused or handed to its room. `exits` hears of every orphan of the guest. */
export function createContainerService(exits: Exits): ContainersServer {
  const storages = createStorages();
  const pod = createPod();
  const events = createEvents();
  const containers = createContainers({ storages, pod, exits, events });
  const attached = new Map<Process, AbortController>();

  const changeOf = <Request extends { containerId: string }>(
    name: string,
    change: (id: string, deadline: Parameters<typeof containers.start>[1]) => Promise<void>,
  ) =>
    unary(name, async ({ containerId }: Request, { deadline }) => {
      refuseId("container id", containerId);
      await change(containerId, deadline);
      return {};
    });

  return {
    configurePod: unary("configure pod", (request) => {
      refuseConfigurePod(request);
      pod.configure(request);
      return {};
    }),
    addStorage: unary("add storage", async ({ storage }, { deadline }) => {
      refuseStorage(storage);
      if (storage !== undefined) await storages.add(storage, "", deadline);
      return {};
    }),
    removeStorage: unary("remove storage", async ({ storageId }, { deadline }) => {
      refuseId("storage id", storageId);
      await storages.remove(storageId, deadline);
      return {};
    }),

    createContainer: unary("create container", async (request, { deadline }) => {
      refuseCreateContainer(request);
      const response = await containers.create(request, deadline);
      log("container created", {
        container: request.containerId,
        pid: response.pid,
        failure: response.failure?.reason,
      });
      return response;
    }),
    startContainer: changeOf("start container", containers.start),
    removeContainer: changeOf("remove container", containers.remove),
    pauseContainer: changeOf("pause container", containers.pause),
    resumeContainer: changeOf("resume container", containers.resume),
    updateContainer: unary("update container", (request, { deadline }) => {
      refuseId("container id", request.containerId);
      return updateContainer(containers.get(request.containerId), request, deadline);
    }),
    statsContainer: unary("read stats", ({ containerId }) => {
      if (containerId === "") return readStats(`${CGROUPS}${POD_CGROUP}`);
      refuseId("container id", containerId);
      return readStats(containers.get(containerId).cgroup.folder);
    }),
    listProcesses: unary("list processes", ({ containerId }) => {
      refuseId("container id", containerId);
      return containers.list(containerId);
    }),

    execProcess: unary("run process", (request, { deadline }) => {
      refuseProcess(request);
      refuseId("exec id", request.execId);
      return containers.exec(request, deadline);
    }),
    signalProcess: unary("signal process", (request) => {
      refuseSignal(request);
      containers.signal(request);
      return {};
    }),
    waitProcess: unaryWithoutLimit("wait for process", async (request, { deadline }) => {
      refuseProcess(request);
      const { containerId, execId } = request;
      const { exited } = containers.process(containerId, execId);
      const { oom } = containers.get(containerId);
      const { status: exitStatus, unixNanoseconds: unixTimeNanoseconds } = await deadline.race(exited);
      return { exitStatus, unixTimeNanoseconds, oomKilled: (oom?.kills ?? 0n) > 0n };
    }),
    removeProcess: unary("remove process", (request) => {
      refuseProcess(request);
      refuseId("exec id", request.execId);
      containers.removeExec(request.containerId, request.execId);
      return {};
    }),
    resizeTerminal: unary("resize terminal", (request) => {
      refuseProcess(request);
      refuseTerminalSize(request);
      containers.process(request.containerId, request.execId).io.resize(request.rows, request.columns);
      return {};
    }),
    closeStdin: unary("close stdin", (request) => {
      refuseProcess(request);
      containers.process(request.containerId, request.execId).io.stdin?.end();
      return {};
    }),

    stdio: streaming("carry stdio", async (call: ServerDuplexStream<StdioRequest, StdioResponse>, first) => {
      refuseProcess(first);
      const process = containers.process(first.containerId, first.execId);
      // The one before may be broken without the agent having heard of it.
      attached.get(process)?.abort(takenOver(first));
      const mine = new AbortController();
      attached.set(process, mine);
      await carryStdio(call, process, mine.signal).finally(() => {
        if (attached.get(process) === mine) attached.delete(process);
      });
    }),
    portForward: streaming("forward port", async (call, first) => {
      refusePortForward(first);
      carryConnection(call, await dial(first.port, first.address));
    }),
    events: (call: ServerWritableStream<EventsRequest, Event>) => {
      const listening = events.listen((event) => {
        if (call.writableLength < MAX_WAITING_EVENTS) call.write(event);
        else call.destroy(new Error("the host does not read events"));
      });
      call.write({ subscribed: true });
      call.once("cancelled", () => listening[Symbol.dispose]());
      call.once("close", () => listening[Symbol.dispose]());
    },

    onlineResources: unary("online resources", (request, { deadline }) => {
      refuseOnlineResources(request);
      return onlineResources(request, deadline);
    }),
  };
}

function takenOver({ containerId, execId }: StdioRequest): TapirError {
  return new TapirError({
    code: Code.ABORTED,
    operation: "stay attached to",
    object: execId === "" ? `container ${containerId}` : `process ${execId} of container ${containerId}`,
    cause: "another stream took over",
  });
}
