import { createServer as listenOn } from "node:net";
import {
  type ChangeInterfaceRequest,
  type InterfacesResponse,
  ManagementDefinition,
} from "../proto/gen/tapir/management/v1/management.ts";
import { type Deadline, deadlineIn } from "../sys/deadline.ts";
import { wrapError } from "../sys/error.ts";
import type { Ledger } from "../sys/ledger.ts";
import type { Agent } from "./agent-client.ts";
import type { InterfaceWish, PodNetwork } from "./sandbox/network.ts";
import { traceMessage } from "./sandbox/trace-message.ts";
import { managementSocket } from "./state/directory.ts";
import { handlersOf, type Implementation } from "./task/handlers.ts";
import { statusOfError } from "./task/status.ts";
import { type Call, createServer } from "./ttrpc/server.ts";

const TRACE_WINDOW_MS = 1000;

/** What is asked on behalf of an operator. */
interface Managed {
  readonly agent: Agent;
  readonly network: PodNetwork;
}

/** Serves the management API (proto/tapir/management/v1) of one pod until the ledger is unwound. */
export async function serveManagement(
  managed: Managed,
  ledger: Ledger,
  requestTimeoutMs: number,
): Promise<void> {
  const { methods, fullName } = ManagementDefinition;
  const handlers = handlersOf(methods, managementService(managed, requestTimeoutMs));
  const server = createServer({ statusOf: statusOfError, services: { [fullName]: handlers } });
  const path = managementSocket(ledger.directory);
  await ledger.acquire("shim.management", { kind: "file", path }, async ({ onRelease }) => {
    const listener = listenOn((socket) => server.accept(socket));
    const listening = Promise.withResolvers<void>();
    listener.once("error", listening.reject);
    // Its directory is root's already; whoever is let in there some day still cannot change pods, not for a moment.
    const mask = process.umask(0o177);
    try {
      // Bound when this returns.
      listener.listen(path, listening.resolve);
    } finally {
      process.umask(mask);
    }
    await listening.promise.catch((error: unknown) => {
      throw wrapError(error, { operation: "listen on", object: path });
    });
    onRelease(async () => {
      listener.close();
      await server.close();
    });
  });
}

/** Every method answers with what the guest says then. */
function managementService(
  { agent, network }: Managed,
  requestTimeoutMs: number,
): Implementation<typeof ManagementDefinition.methods> {
  /** What the caller asks to wait for comes on top of the time for an answer. */
  const by = ({ method }: Call, askedMs = 0): Deadline =>
    deadlineIn(requestTimeoutMs + askedMs, `answer ${method}`);
  const interfaces = async (deadline: Deadline): Promise<InterfacesResponse> => ({
    ...(await agent.listInterfaces(deadline)),
    limits: network.limits().map(({ mac, rx, tx }) => ({
      ...{ mac, rxRateLimiterMaxRate: BigInt(rx), txRateLimiterMaxRate: BigInt(tx) },
    })),
  });
  return {
    getGuestDetails: (_, call) => agent.getGuestDetails(by(call)),
    listInterfaces: (_, call) => interfaces(by(call)),
    listRoutes: (_, call) => agent.listRoutes(by(call)),
    listRules: (_, call) => agent.listRules(by(call)),
    listNeighbors: (_, call) => agent.listNeighbors(by(call)),
    async addInterface(request, call) {
      const deadline = by(call);
      await network.addInterface(wishOf(request), deadline);
      return interfaces(deadline);
    },
    async removeInterface(request, call) {
      const deadline = by(call);
      await network.removeInterface(request, deadline);
      return interfaces(deadline);
    },
    async updateInterface(request, call) {
      const deadline = by(call);
      await network.updateInterface(wishOf(request), deadline);
      return interfaces(deadline);
    },
    async updateRoutes({ routes }, call) {
      const deadline = by(call);
      await network.updateRoutes(routes, deadline);
      return agent.listRoutes(deadline);
    },
    async addNeighbors({ neighbors }, call) {
      const deadline = by(call);
      await network.addNeighbors(neighbors, deadline);
      return agent.listNeighbors(deadline);
    },
    getNetworkDifference: async (_, call) => ({ lines: await network.difference(by(call)) }),
    async traceNetwork({ windowMilliseconds }, call) {
      const windowMs = windowMilliseconds || TRACE_WINDOW_MS;
      return { paths: (await network.trace(windowMs, by(call, windowMs))).map(traceMessage) };
    },
    ping: (request, call) => agent.ping(request, by(call, request.timeoutMilliseconds)),
  };
}

function wishOf(request: ChangeInterfaceRequest): InterfaceWish {
  const { rxRateLimiterMaxRate: rx, txRateLimiterMaxRate: tx } = request;
  const limits = {
    ...(rx === undefined ? {} : { rx: Number(rx) }),
    ...(tx === undefined ? {} : { tx: Number(tx) }),
  };
  return { ...request, limits };
}
