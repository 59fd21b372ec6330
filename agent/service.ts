import type {
  CreateSandboxRequest,
  CreateSandboxResponse,
  DestroySandboxRequest,
  UpdateInterfaceRequest,
  UpdateInterfaceResponse,
} from "../proto/gen/tapir/agent/v1/agent.ts";
import type { AgentServer } from "../proto/gen/tapir/agent/v1/agent_service.ts";
import { systemError } from "../sys/error.ts";
import { listRules } from "../sys/netlink/rule.ts";
import { guestDetails } from "./details.ts";
import { log } from "./log.ts";
import { applyNetwork } from "./network/apply.ts";
import { listCounters } from "./network/counters.ts";
import { applyInterfaces, listInterfaces } from "./network/interface.ts";
import { addNeighbors, applyNeighbors, listNeighbors } from "./network/neighbor.ts";
import { locate } from "./network/port.ts";
import { applyRoutes, listRoutes } from "./network/route.ts";
import { applyRules } from "./network/rule.ts";
import { ping } from "./ping.ts";
import {
  refuseCreateSandbox,
  refuseNeighbors,
  refuseNetwork,
  refusePing,
  refuseRoutes,
  refuseRules,
  refuseUpdateInterface,
} from "./refuse.ts";
import { type Guest, linkDeadline, newSandbox } from "./sandbox.ts";
import { prepareTemplate } from "./template.ts";
import { type Call, inTurn, type Method, unary } from "./unary.ts";
import { AGENT_VERSION, API_VERSION } from "./version.ts";

/** The answer to the call that turns the guest off has this long to leave it. */
const POWER_OFF_DELAY_MS = 50;

/** What the host may ask of the guest. */
export interface Service {
  /** By gRPC. */
  readonly rpcs: AgentServer;
  /** By greeting. */
  readonly createSandbox: Method<CreateSandboxRequest, CreateSandboxResponse>;
}

/** Every RPC, each refused or handed to its room. */
export function createService(guest: Guest): Service {
  const { network } = guest;
  const sandbox = newSandbox(guest);
  const changing = inTurn();
  const destroy = changing((_: DestroySandboxRequest, { deadline }) => sandbox.destroy(deadline));
  const changingNetwork = <Q, R>(method: Method<Q, R>): Method<Q, R> =>
    changing((request, call) => {
      sandbox.networkChanges();
      return method(request, call);
    });
  const createSandbox = changing(async (request: CreateSandboxRequest, { arrived, deadline }: Call) => {
    refuseCreateSandbox(request);
    const response = await sandbox.create(request, arrived, deadline);
    const { sandboxId, hostname, interfaces } = request;
    log("sandbox created", { sandboxId, hostname, interfaces: interfaces.length });
    return response;
  });
  const rpcs: AgentServer = {
    check: unary("check", () => ({ monotonicNanoseconds: process.hrtime.bigint() })),
    getVersion: unary("get version", () => ({ agentVersion: AGENT_VERSION, apiVersion: API_VERSION })),
    getGuestDetails: unary("get guest details", () => guestDetails()),

    createSandbox: unary("create sandbox", createSandbox),
    prepareTemplate: unary(
      "prepare template",
      changing((request) => prepareTemplate(request)),
    ),
    destroySandbox: unary("destroy sandbox", async (request, call) => {
      log("sandbox destroyed", { powerOff: request.powerOff });
      // A guest that goes off takes its network with it, and waits for no other change.
      if (request.powerOff) setTimeout(() => guest.powerOff("the host asked for it"), POWER_OFF_DELAY_MS);
      else await destroy(request, call);
      return {};
    }),

    updateNetwork: unary(
      "update network",
      changingNetwork(async (request, { deadline }) => {
        refuseNetwork(request);
        const linksBy = linkDeadline(request.linkTimeoutMilliseconds, deadline);
        await applyNetwork(network, request, linksBy, deadline);
        return {};
      }),
    ),
    updateInterface: unary(
      "update interface",
      changingNetwork((request, call) => updateInterface(guest, request, call)),
    ),
    updateRoutes: unary(
      "update routes",
      changingNetwork(async (request, { deadline }) => {
        refuseRoutes(request);
        await applyRoutes(network, request.routes, deadline);
        return { routes: await listRoutes(network, deadline) };
      }),
    ),
    updateRules: unary(
      "update rules",
      changingNetwork(async (request, { deadline }) => {
        refuseRules(request);
        await applyRules(network, request.rules, deadline);
        return { rules: await listRules(network.socket, deadline) };
      }),
    ),
    addArpNeighbors: unary(
      "add neighbours",
      changingNetwork(async (request, { deadline }) => {
        refuseNeighbors(request);
        await (request.exactly ? applyNeighbors : addNeighbors)(network, request.neighbors, deadline);
        return {};
      }),
    ),

    listInterfaces: unary("list interfaces", async (_, { deadline }) => ({
      interfaces: await listInterfaces(network, deadline),
    })),
    listRoutes: unary("list routes", async (_, { deadline }) => ({
      routes: await listRoutes(network, deadline),
    })),
    listRules: unary("list rules", async (_, { deadline }) => ({
      rules: await listRules(network.socket, deadline),
    })),
    listNeighbors: unary("list neighbours", async (_, { deadline }) => ({
      neighbors: await listNeighbors(network, deadline),
    })),
    listCounters: unary("list counters", async (_, { deadline }) => ({
      interfaces: await listCounters(network, deadline),
    })),
    ping: unary("ping", async (request, { deadline }) => {
      refusePing(request);
      const { address, timeoutMilliseconds } = request;
      return { roundTripMilliseconds: await ping(address, timeoutMilliseconds, deadline) };
    }),
  };
  return { rpcs, createSandbox };
}

async function updateInterface(
  { network }: Guest,
  request: UpdateInterfaceRequest,
  { deadline }: Call,
): Promise<UpdateInterfaceResponse> {
  refuseUpdateInterface(request);
  const wanted = request.interface;
  if (wanted === undefined) throw systemError("EINVAL", { operation: "update", object: "interface" });
  const linksBy = linkDeadline(request.linkTimeoutMilliseconds, deadline);
  await applyInterfaces(network, await locate([wanted], linksBy), linksBy, deadline);
  const interfaces = await listInterfaces(network, deadline);
  return { interface: interfaces.find(({ mac }) => mac === wanted.mac) };
}
