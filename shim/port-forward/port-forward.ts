import { createServer, type Socket } from "node:net";
import { deadlineIn } from "../../sys/deadline.ts";
import type { Ledger } from "../../sys/ledger.ts";
import { steerConnections } from "../../sys/steer-connections.ts";
import type { Agent } from "../agent-client.ts";
import type { Log } from "../log.ts";
import { forward } from "./forward.ts";

export interface PodPortForward {
  /** Begins to listen; nobody waits for it. Idempotent. */
  begin(): void;
  /** Resolves when nothing is going on any more that could acquire something. Before the ledger is unwound. */
  close(): Promise<void>;
}

export interface PortForwardRequest {
  /** The pod's; undefined: nobody can dial there. */
  readonly netns: string | undefined;
  readonly agent: Agent;
  readonly ledger: Ledger;
  readonly log: Log;
  /** Milliseconds for a question to the guest. */
  readonly requestMs: number;
}

/**
 * Whoever dials inside the pod's network namespace (containerd, for port-forward) finds what the guest serves there, on
 * loopback and on the pod's own addresses.
 */
export function openPortForward(request: PortForwardRequest): PodPortForward {
  const { netns, ledger, log } = request;
  let listening: Promise<void> | undefined;
  let closed = false;
  return {
    begin() {
      if (netns === undefined || closed) return;
      listening ??= listen(netns, ledger, (socket) => accept(request, socket)).catch((error: unknown) =>
        log.warn("port-forward to this pod does not work", { error }),
      );
    },
    async close() {
      closed = true;
      await listening;
    },
  };
}

async function listen(netns: string, ledger: Ledger, onConnection: (socket: Socket) => void): Promise<void> {
  await ledger.acquire("shim.port-forward", { kind: "descriptors" }, async ({ onRelease }) => {
    const steered = steerConnections(netns);
    // Half-closing is part of the conversation.
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, onConnection);
    const ready = Promise.withResolvers<void>();
    server.once("error", ready.reject);
    server.listen({ fd: steered.listening }, ready.resolve);
    await ready.promise;
    onRelease(async () => {
      steered.stop();
      server.close();
    });
  });
}

function accept({ agent, log, requestMs }: PortForwardRequest, socket: Socket): void {
  const place = placeOf(socket);
  if (place === undefined) return void socket.resetAndDestroy();
  const ownAddresses = async (): Promise<string[]> => {
    const deadline = deadlineIn(requestMs, "ask for the guest's addresses");
    const { interfaces } = await agent.listInterfaces(deadline);
    return interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => address));
  };
  const target = place.loopback
    ? { port: place.port, address: "", otherwise: ownAddresses }
    : { port: place.port, address: place.address };
  forward(socket, target, agent.containers).catch((error: unknown) => {
    log.info("port-forward refused", { port: place.port, error });
    socket.resetAndDestroy();
  });
}

/** What was dialled; undefined for somebody from outside, whose packets are the guest's own affair. */
function placeOf(
  socket: Socket,
): { readonly port: number; readonly address: string; readonly loopback: boolean } | undefined {
  const { localPort: port } = socket;
  const address = plain(socket.localAddress);
  const loopback = address.startsWith("127.") || address === "::1";
  if (port === undefined || (!loopback && plain(socket.remoteAddress) !== address)) return undefined;
  return { port, address, loopback };
}

/** A socket of both families shows IPv4 as ::ffff:127.0.0.1. */
function plain(address: string | undefined): string {
  return address?.replace(/^::ffff:/, "") ?? "";
}
