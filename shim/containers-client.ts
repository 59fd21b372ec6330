import {
  type ClientDuplexStream,
  type ClientOptions,
  type ClientReadableStream,
  credentials,
} from "@grpc/grpc-js";
import type * as api from "../proto/gen/tapir/agent/v1/container.ts";
import { ContainersClient, ContainersService } from "../proto/gen/tapir/agent/v1/container_service.ts";
import { decodeResponse, encodeRequest } from "../proto/stdio-codec.ts";
import type { Deadline } from "../sys/deadline.ts";
import { atMost } from "./guest-bounds.ts";
import { unary, unaryUntil } from "./guest-call.ts";

export type StdioStream = ClientDuplexStream<api.StdioRequest, api.StdioResponse>;
export type PortForwardStream = ClientDuplexStream<api.PortForwardRequest, api.PortForwardResponse>;
export type EventStream = ClientReadableStream<api.Event>;

/** One process of the guest; without exec id the container's init. */
export interface ProcessKey {
  readonly containerId: string;
  readonly execId: string;
}

/** The part of the agent that keeps storage, containers and processes, as promises. Errors are TapirErrors. */
export interface GuestContainers {
  configurePod(request: api.ConfigurePodRequest, deadline: Deadline): Promise<api.ConfigurePodResponse>;
  addStorage(request: api.AddStorageRequest, deadline: Deadline): Promise<api.AddStorageResponse>;
  removeStorage(request: api.RemoveStorageRequest, deadline: Deadline): Promise<api.RemoveStorageResponse>;
  createContainer(
    request: api.CreateContainerRequest,
    deadline: Deadline,
  ): Promise<api.CreateContainerResponse>;
  startContainer(request: api.StartContainerRequest, deadline: Deadline): Promise<api.StartContainerResponse>;
  removeContainer(
    request: api.RemoveContainerRequest,
    deadline: Deadline,
  ): Promise<api.RemoveContainerResponse>;
  pauseContainer(request: api.PauseContainerRequest, deadline: Deadline): Promise<api.PauseContainerResponse>;
  resumeContainer(
    request: api.ResumeContainerRequest,
    deadline: Deadline,
  ): Promise<api.ResumeContainerResponse>;
  updateContainer(
    request: api.UpdateContainerRequest,
    deadline: Deadline,
  ): Promise<api.UpdateContainerResponse>;
  statsContainer(request: api.StatsContainerRequest, deadline: Deadline): Promise<api.StatsContainerResponse>;
  listProcesses(request: api.ListProcessesRequest, deadline: Deadline): Promise<api.ListProcessesResponse>;
  execProcess(request: api.ExecProcessRequest, deadline: Deadline): Promise<api.ExecProcessResponse>;
  signalProcess(request: api.SignalProcessRequest, deadline: Deadline): Promise<api.SignalProcessResponse>;
  /** Resolves when the process has ended; `signal` gives up. */
  waitProcess(request: api.WaitProcessRequest, signal: AbortSignal): Promise<api.WaitProcessResponse>;
  removeProcess(request: api.RemoveProcessRequest, deadline: Deadline): Promise<api.RemoveProcessResponse>;
  resizeTerminal(request: api.ResizeTerminalRequest, deadline: Deadline): Promise<api.ResizeTerminalResponse>;
  closeStdin(request: api.CloseStdinRequest, deadline: Deadline): Promise<api.CloseStdinResponse>;
  onlineResources(
    request: api.OnlineResourcesRequest,
    deadline: Deadline,
  ): Promise<api.OnlineResourcesResponse>;
  stdio(): Promise<StdioStream>;
  events(): Promise<EventStream>;
  portForward(): Promise<PortForwardStream>;
}

const MAX_DEVICES = 1024;
const STDIO = ContainersService.stdio;

/** Speaks over the agent's own channel: there is one port, and one connection on it. */
export function containersOver(channel: NonNullable<ClientOptions["channelOverride"]>): GuestContainers {
  const client = new ContainersClient("unix:agent", credentials.createInsecure(), {
    channelOverride: channel,
  });
  return {
    configurePod: (request, deadline) =>
      unary("configure the pod in", client.configurePod.bind(client), request, deadline),
    addStorage: (request, deadline) =>
      unary("add storage to", client.addStorage.bind(client), request, deadline),
    removeStorage: (request, deadline) =>
      unary("remove storage from", client.removeStorage.bind(client), request, deadline),
    createContainer: (request, deadline) =>
      unary("create a container in", client.createContainer.bind(client), request, deadline),
    startContainer: (request, deadline) =>
      unary("start a container in", client.startContainer.bind(client), request, deadline),
    removeContainer: (request, deadline) =>
      unary("remove a container from", client.removeContainer.bind(client), request, deadline),
    pauseContainer: (request, deadline) =>
      unary("pause a container in", client.pauseContainer.bind(client), request, deadline),
    resumeContainer: (request, deadline) =>
      unary("resume a container in", client.resumeContainer.bind(client), request, deadline),
    updateContainer: (request, deadline) =>
      unary("update a container in", client.updateContainer.bind(client), request, deadline),
    async statsContainer(request, deadline) {
      const said = await unary("read counters of", client.statsContainer.bind(client), request, deadline);
      // Each entry becomes several for containerd.
      atMost("disks", said.io, MAX_DEVICES);
      atMost("sizes of huge pages", said.hugePages, MAX_DEVICES);
      atMost("interfaces", said.network, MAX_DEVICES);
      return said;
    },
    listProcesses: (request, deadline) =>
      unary("list processes of", client.listProcesses.bind(client), request, deadline),
    execProcess: (request, deadline) =>
      unary("run a process in", client.execProcess.bind(client), request, deadline),
    signalProcess: (request, deadline) =>
      unary("signal a process in", client.signalProcess.bind(client), request, deadline),
    waitProcess: (request, signal) =>
      unaryUntil("wait for a process in", client.waitProcess.bind(client), request, signal),
    removeProcess: (request, deadline) =>
      unary("remove a process from", client.removeProcess.bind(client), request, deadline),
    resizeTerminal: (request, deadline) =>
      unary("resize a terminal in", client.resizeTerminal.bind(client), request, deadline),
    closeStdin: (request, deadline) =>
      unary("close standard input in", client.closeStdin.bind(client), request, deadline),
    onlineResources: (request, deadline) =>
      unary("bring resources online in", client.onlineResources.bind(client), request, deadline),
    stdio: async () => client.makeBidiStreamRequest(STDIO.path, encodeRequest, decodeResponse),
    events: async () => client.events({}),
    portForward: async () => client.portForward(),
  };
}
