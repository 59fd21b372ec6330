import { createServer as listenOn } from "node:net";
import { ManagementDefinition } from "../proto/gen/tapir/management/v1/management.ts";
import { deadlineIn } from "../sys/deadline.ts";
import { wrapError } from "../sys/error.ts";
import type { Ledger } from "../sys/ledger.ts";
import type { Agent } from "./agent-client.ts";
import { managementSocket } from "./state/directory.ts";
import { statusOfError } from "./task/status.ts";
import { createServer, type Handler } from "./ttrpc/server.ts";

/** Serves the management API (proto/tapir/management/v1) of one pod until the ledger is unwound. */
export async function serveManagement(agent: Agent, ledger: Ledger, requestTimeoutMs: number): Promise<void> {
  const { methods, fullName } = ManagementDefinition;
  const deadline = (job: string) => deadlineIn(requestTimeoutMs, job);
  const server = createServer({
    statusOf: statusOfError,
    services: {
      [fullName]: {
        [methods.getGuestDetails.name]: answer(methods.getGuestDetails, () =>
          agent.getGuestDetails(deadline("ask the guest")),
        ),
        [methods.listInterfaces.name]: answer(methods.listInterfaces, () =>
          agent.listInterfaces(deadline("list interfaces")),
        ),
        [methods.listRoutes.name]: answer(methods.listRoutes, () =>
          agent.listRoutes(deadline("list routes")),
        ),
        [methods.listNeighbors.name]: answer(methods.listNeighbors, () =>
          agent.listNeighbors(deadline("list neighbours")),
        ),
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
    onRelease(async () => {
      listener.close();
      await server.close();
    });
  });
}

interface Method<Response> {
  readonly responseType: { encode(response: Response): { finish(): Uint8Array } };
}

function answer<Response>(method: Method<Response>, ask: () => Promise<Response>): Handler {
  return async () => method.responseType.encode(await ask()).finish();
}
