import type {
  GetGuestDetailsResponse,
  Interface,
  Neighbor,
  Route,
} from "../proto/gen/tapir/agent/v1/agent.ts";
import { ManagementDefinition } from "../proto/gen/tapir/management/v1/management.ts";
import { managementSocket } from "../shim/state/directory.ts";
import { connect } from "../shim/ttrpc/client.ts";
import { wrapError } from "../sys/error.ts";

/** What a guest says of itself. */
export interface GuestView {
  readonly details: GetGuestDetailsResponse;
  readonly interfaces: readonly Interface[];
  readonly routes: readonly Route[];
  readonly neighbors: readonly Neighbor[];
}

const TIMEOUT_MS = 20_000;

/** Asks the guest of the sandbox in `directory`, through its shim. */
export async function askGuest(directory: string): Promise<GuestView> {
  const path = managementSocket(directory);
  const { methods, fullName } = ManagementDefinition;
  const client = await connect(path, TIMEOUT_MS).catch((error: unknown) => {
    throw wrapError(error, {
      operation: "connect to",
      object: path,
      hint: "the pod may be starting or its shim gone; tapir list tells",
    });
  });
  const ask = async <Response>(method: Method<Response>): Promise<Response> =>
    method.responseType.decode(
      await client.call(fullName, method.name, new Uint8Array(0), { timeoutMs: TIMEOUT_MS }),
    );
  try {
    const [details, { interfaces }, { routes }, { neighbors }] = await Promise.all([
      ask(methods.getGuestDetails),
      ask(methods.listInterfaces),
      ask(methods.listRoutes),
      ask(methods.listNeighbors),
    ]);
    return { details, interfaces, routes, neighbors };
  } finally {
    client.close();
  }
}

interface Method<Response> {
  readonly name: string;
  readonly responseType: { decode(input: Uint8Array): Response };
}
