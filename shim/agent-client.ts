import { connectivityState, credentials } from "@grpc/grpc-js";
import type {
  AddARPNeighborsRequest,
  AddARPNeighborsResponse,
  CheckResponse,
  CreateSandboxRequest,
  CreateSandboxResponse,
  DestroySandboxRequest,
  DestroySandboxResponse,
  GetGuestDetailsResponse,
  GetVersionResponse,
  ListCountersResponse,
  ListInterfacesResponse,
  ListNeighborsResponse,
  ListRoutesResponse,
  ListRulesResponse,
  PingRequest,
  PingResponse,
  PrepareTemplateRequest,
  PrepareTemplateResponse,
  UpdateInterfaceRequest,
  UpdateInterfaceResponse,
  UpdateNetworkRequest,
  UpdateNetworkResponse,
  UpdateRoutesRequest,
  UpdateRoutesResponse,
  UpdateRulesRequest,
  UpdateRulesResponse,
} from "../proto/gen/tapir/agent/v1/agent.ts";
import { AgentClient } from "../proto/gen/tapir/agent/v1/agent_service.ts";
import type { Deadline } from "../sys/deadline.ts";
import { containersOver, type GuestContainers } from "./containers-client.ts";
import { atMost } from "./guest-bounds.ts";
import { unary } from "./guest-call.ts";

/** The guest's agent as promises. Every error is a TapirError that names operation and object in the guest. */
export interface Agent extends Disposable {
  /** Resolves when the agent serves: by the HTTP/2 handshake's arrival, not by asking again and again. */
  ready(deadline: Deadline): Promise<void>;
  check(deadline: Deadline): Promise<CheckResponse>;
  getVersion(deadline: Deadline): Promise<GetVersionResponse>;
  getGuestDetails(deadline: Deadline): Promise<GetGuestDetailsResponse>;
  createSandbox(request: CreateSandboxRequest, deadline: Deadline): Promise<CreateSandboxResponse>;
  prepareTemplate(request: PrepareTemplateRequest, deadline: Deadline): Promise<PrepareTemplateResponse>;
  destroySandbox(request: DestroySandboxRequest, deadline: Deadline): Promise<DestroySandboxResponse>;
  updateNetwork(request: UpdateNetworkRequest, deadline: Deadline): Promise<UpdateNetworkResponse>;
  updateInterface(request: UpdateInterfaceRequest, deadline: Deadline): Promise<UpdateInterfaceResponse>;
  updateRoutes(request: UpdateRoutesRequest, deadline: Deadline): Promise<UpdateRoutesResponse>;
  updateRules(request: UpdateRulesRequest, deadline: Deadline): Promise<UpdateRulesResponse>;
  addNeighbors(request: AddARPNeighborsRequest, deadline: Deadline): Promise<AddARPNeighborsResponse>;
  listInterfaces(deadline: Deadline): Promise<ListInterfacesResponse>;
  listRoutes(deadline: Deadline): Promise<ListRoutesResponse>;
  listRules(deadline: Deadline): Promise<ListRulesResponse>;
  listNeighbors(deadline: Deadline): Promise<ListNeighborsResponse>;
  listCounters(deadline: Deadline): Promise<ListCountersResponse>;
  ping(request: PingRequest, deadline: Deadline): Promise<PingResponse>;
  /** Storage, containers and processes, over the same connection. */
  readonly containers: GuestContainers;
}

/** Nobody but the guest of one pod is at the other end: more than this is hostile, not large. */
const MAX_RESPONSE_BYTES = 4 << 20;
const MAX_INTERFACES = 1024;
/** Routes, rules or neighbours; a routing table of the whole Internet is no pod's. */
const MAX_ENTRIES = 16_384;
/**
 * What a call may send before somebody reads it. HTTP/2's usual 64 KiB make the guest wait for, and look at, an answer
 * to every other frame.
 */
const WINDOW_BYTES = 512 << 10;

/** Connects to the agent behind QEMU's unix socket; QEMU holds what is sent until the guest opens its port. */
export function connectAgent(socketPath: string): Agent {
  const client = new AgentClient(`unix:${socketPath}`, credentials.createInsecure(), {
    "grpc.max_receive_message_length": MAX_RESPONSE_BYTES,
    "grpc-node.flow_control_window": WINDOW_BYTES,
    "grpc.initial_reconnect_backoff_ms": 50,
    "grpc.max_reconnect_backoff_ms": 1000,
    // A pod may be left alone for weeks; the port stays ours.
    "grpc.client_idle_timeout_ms": 2 ** 31 - 1,
    "grpc.enable_http_proxy": 0,
    "grpc.service_config_disable_resolution": 1,
    "grpc.default_authority": "agent",
  });

  return {
    ready: (deadline) => waitForReady(client, deadline),
    check: (deadline) => unary("ask", client.check.bind(client), {}, deadline),
    getVersion: (deadline) => unary("ask", client.getVersion.bind(client), {}, deadline),
    getGuestDetails: (deadline) => unary("ask", client.getGuestDetails.bind(client), {}, deadline),
    createSandbox: (request, deadline) =>
      unary("configure", client.createSandbox.bind(client), request, deadline),
    prepareTemplate: (request, deadline) =>
      unary("prepare", client.prepareTemplate.bind(client), request, deadline),
    destroySandbox: (request, deadline) =>
      unary("clear", client.destroySandbox.bind(client), request, deadline),
    updateNetwork: (request, deadline) =>
      unary("update network of", client.updateNetwork.bind(client), request, deadline),
    updateInterface: (request, deadline) =>
      unary("update interface of", client.updateInterface.bind(client), request, deadline),
    updateRoutes: (request, deadline) =>
      unary("update routes of", client.updateRoutes.bind(client), request, deadline),
    updateRules: (request, deadline) =>
      unary("update rules of", client.updateRules.bind(client), request, deadline),
    addNeighbors: (request, deadline) =>
      unary("add neighbours to", client.addArpNeighbors.bind(client), request, deadline),
    async listInterfaces(deadline) {
      const said = await unary("list interfaces of", client.listInterfaces.bind(client), {}, deadline);
      return { interfaces: atMost("interfaces", said.interfaces, MAX_INTERFACES) };
    },
    async listRoutes(deadline) {
      const { routes } = await unary("list routes of", client.listRoutes.bind(client), {}, deadline);
      return { routes: atMost("routes", routes, MAX_ENTRIES) };
    },
    async listRules(deadline) {
      const { rules } = await unary("list rules of", client.listRules.bind(client), {}, deadline);
      return { rules: atMost("rules", rules, MAX_ENTRIES) };
    },
    async listNeighbors(deadline) {
      const said = await unary("list neighbours of", client.listNeighbors.bind(client), {}, deadline);
      return { neighbors: atMost("neighbours", said.neighbors, MAX_ENTRIES) };
    },
    async listCounters(deadline) {
      const said = await unary("list counters of", client.listCounters.bind(client), {}, deadline);
      return { interfaces: atMost("counters", said.interfaces, MAX_INTERFACES) };
    },
    ping: (request, deadline) => unary("ping from", client.ping.bind(client), request, deadline),
    containers: containersOver(client.getChannel()),
    [Symbol.dispose]: () => client.close(),
  };
}

async function waitForReady(client: AgentClient, deadline: Deadline): Promise<void> {
  const channel = client.getChannel();
  for (;;) {
    // `true` makes an idle channel connect: the state then changes by itself.
    const state = channel.getConnectivityState(true);
    if (state === connectivityState.READY) return;
    await deadline.race(
      new Promise<void>((resolve) =>
        channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, () => resolve()),
      ),
    );
  }
}
