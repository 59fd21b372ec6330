import { chmodSync } from "node:fs";
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
import { statusOfError } from "./task/status.ts";
import { createServer, type Handler } from "./ttrpc/server.ts";

const TRACE_WINDOW_MS = 1000;

/** Serves the management API (proto/tapir/management/v1) of one pod until the ledger is unwound. */
export async function serveManagement(
  { agent, network }: { readonly agent: Agent; readonly network: PodNetwork },
  ledger: Ledger,
  requestTimeoutMs: number,
): Promise<void> {
  const { methods, fullName } = ManagementDefinition;
  /** Every method answers with what the guest says then. */
  const asks = <Request, Response>(
    method: Method<Request, Response>,
    ask: (request: Request, deadline: Deadline) => Promise<Response>,
  ): Record<string, Handler> => ({
    [method.name]: async (payload) => {
      const deadline = deadlineIn(requestTimeoutMs, `answer ${method.name}`);
      return method.responseType.encode(await ask(method.requestType.decode(payload), deadline)).finish();
    },
  });
  const interfaces = async (deadline: Deadline): Promise<InterfacesResponse> => ({
    ...(await agent.listInterfaces(deadline)),
    limits: network.limits().map(({ mac, rx, tx }) => ({
      ...{ mac, rxRateLimiterMaxRate: BigInt(rx), txRateLimiterMaxRate: BigInt(tx) },
    })),
  });
  const server = createServer({
    statusOf: statusOfError,
    services: {
      [fullName]: {
        ...asks(methods.getGuestDetails, (_, deadline) => agent.getGuestDetails(deadline)),
        ...asks(methods.listInterfaces, (_, deadline) => interfaces(deadline)),
        ...asks(methods.listRoutes, (_, deadline) => agent.listRoutes(deadline)),
        ...asks(methods.listRules, (_, deadline) => agent.listRules(deadline)),
        ...asks(methods.listNeighbors, (_, deadline) => agent.listNeighbors(deadline)),
        ...asks(methods.addInterface, async (request, deadline) => {
          await network.addInterface(wishOf(request), deadline);
          return interfaces(deadline);
        }),
        ...asks(methods.removeInterface, async (request, deadline) => {
          await network.removeInterface(request, deadline);
          return interfaces(deadline);
        }),
        ...asks(methods.updateInterface, async (request, deadline) => {
          await network.updateInterface(wishOf(request), deadline);
          return interfaces(deadline);
        }),
        ...asks(methods.updateRoutes, async ({ routes }, deadline) => {
          await network.updateRoutes(routes, deadline);
          return agent.listRoutes(deadline);
        }),
        ...asks(methods.addNeighbors, async ({ neighbors }, deadline) => {
          await network.addNeighbors(neighbors, deadline);
          return agent.listNeighbors(deadline);
        }),
        ...asks(methods.getNetworkDifference, async (_, deadline) => ({
          lines: await network.difference(deadline),
        })),
        ...asks(methods.traceNetwork, async ({ windowMilliseconds }, deadline) => ({
          paths: (await network.trace(windowMilliseconds || TRACE_WINDOW_MS, deadline)).map(traceMessage),
        })),
        ...asks(methods.ping, (request, deadline) => agent.ping(request, deadline)),
      },
    },
  });
  const path = managementSocket(ledger.directory);
  await ledger.acquire("shim.management", { kind: "file", path }, async ({ onRelease }) => {
    const listener = listenOn((socket) => server.accept(socket));
    const listening = Promise.withResolvers<void>();
    listener.once("error", listening.reject);
    listener.listen(path, listening.resolve);
    await listening.promise.catch((error: unknown) => {
      throw wrapError(error, { operation: "listen on", object: path });
    });
    // Its directory is root's already; whoever is let in there some day still cannot change pods.
    chmodSync(path, 0o600);
    onRelease(async () => {
      listener.close();
      await server.close();
    });
  });
}

function wishOf(request: ChangeInterfaceRequest): InterfaceWish {
  const { rxRateLimiterMaxRate: rx, txRateLimiterMaxRate: tx } = request;
  const limits = {
    ...(rx === undefined ? {} : { rx: Number(rx) }),
    ...(tx === undefined ? {} : { tx: Number(tx) }),
  };
  return { ...request, limits };
}

interface Method<Request, Response> {
  readonly name: string;
  readonly requestType: { decode(input: Uint8Array): Request };
  readonly responseType: { encode(response: Response): { finish(): Uint8Array } };
}
