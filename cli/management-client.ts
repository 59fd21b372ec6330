import type {
  GetGuestDetailsResponse,
  Interface,
  Neighbor,
  Route,
  Rule,
} from "../proto/gen/tapir/agent/v1/agent.ts";
import { ManagementDefinition } from "../proto/gen/tapir/management/v1/management.ts";
import { loadConfiguration } from "../shim/config/load.ts";
import { timeoutMs } from "../shim/config/timeout.ts";
import { managementSocket } from "../shim/state/directory.ts";
import { type Client, connect } from "../shim/ttrpc/client.ts";
import { wrapError } from "../sys/error.ts";

/** What a guest says of itself. */
export interface GuestView {
  readonly details: GetGuestDetailsResponse;
  readonly interfaces: readonly Interface[];
  readonly routes: readonly Route[];
  readonly rules: readonly Rule[];
  readonly neighbors: readonly Neighbor[];
}

export const { methods } = ManagementDefinition;
const { fullName } = ManagementDefinition;
const CONNECT_MS = 20_000;
/** The shim knows better than this end why there is no answer in time: it is to say so first. */
const MARGIN_MS = 5_000;

/** Milliseconds that a shim may take over an answer, as the node is configured; the slower accelerator is as slow as any. */
function answerMs(): number {
  const { configuration } = loadConfiguration();
  return timeoutMs(configuration, configuration.agent.requestTimeoutSeconds, "tcg");
}

/** Asks the guest of the sandbox in `directory` what it is and has, through its shim. */
export async function askGuest(directory: string): Promise<GuestView> {
  using connection = await connectManagement(directory);
  const [details, { interfaces }, { routes }, { rules }, { neighbors }] = await Promise.all([
    connection.call(methods.getGuestDetails, {}),
    connection.call(methods.listInterfaces, {}),
    connection.call(methods.listRoutes, {}),
    connection.call(methods.listRules, {}),
    connection.call(methods.listNeighbors, {}),
  ]);
  return { details, interfaces, routes, rules, neighbors };
}

/** Pings `address` from the guest; milliseconds of the first answer's round trip. */
export async function pingFromGuest(directory: string, address: string, waitMs: number): Promise<number> {
  using connection = await connectManagement(directory);
  const request = { address, timeoutMilliseconds: waitMs };
  return (await connection.call(methods.ping, request, waitMs)).roundTripMilliseconds;
}

/** Asks a pod's shim. */
export interface ManagementConnection extends Disposable {
  /** `askedMs`: what the request itself asks to wait for, in milliseconds. */
  call<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    askedMs?: number,
  ): Promise<Response>;
}

interface Method<Request, Response> {
  readonly name: string;
  readonly requestType: { encode(request: Request): { finish(): Uint8Array } };
  readonly responseType: { decode(input: Uint8Array): Response };
}

/** Connects to the shim of the sandbox in `directory`. */
export async function connectManagement(directory: string): Promise<ManagementConnection> {
  const path = managementSocket(directory);
  const client: Client = await connect(path, CONNECT_MS).catch((error: unknown) => {
    throw wrapError(error, {
      operation: "connect to",
      object: path,
      hint: "the pod may be starting or its shim gone; tapir list tells",
    });
  });
  const limitMs = answerMs() + MARGIN_MS;
  return {
    async call({ name, requestType, responseType }, request, askedMs = 0) {
      const payload = requestType.encode(request).finish();
      const answer = await client.call(fullName, name, payload, { timeoutMs: limitMs + askedMs });
      return responseType.decode(answer);
    },
    [Symbol.dispose]: () => client.close(),
  };
}
