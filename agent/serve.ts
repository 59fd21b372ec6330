import { setTimeout as sleep } from "node:timers/promises";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { AgentService } from "../proto/gen/tapir/agent/v1/agent_service.ts";
import { ContainersService } from "../proto/gen/tapir/agent/v1/container_service.ts";
import { decodeRequest, responseEncoder } from "../proto/stdio-codec.ts";
import { deadlineIn } from "../sys/deadline.ts";
import { reasonOf } from "../sys/error.ts";
import { setLink } from "../sys/netlink/link.ts";
import { openRoute } from "../sys/netlink/socket.ts";
import { createContainerService } from "./container/service.ts";
import { greet } from "./greet.ts";
import { becomePod, writePodFiles } from "./identity/become.ts";
import { log } from "./log.ts";
import { reached } from "./milestones.ts";
import { powerOff } from "./power.ts";
import { createExits, type Exits } from "./process/exits.ts";
import type { Guest } from "./sandbox.ts";
import { createService, type Service } from "./service.ts";
import { greetings } from "./transport/greeting.ts";
import { openPort } from "./transport/port.ts";
import { http2 } from "./transport/session.ts";
import { serveHosts } from "./transport/transport.ts";

const MAX_MESSAGE_BYTES = 4 << 20;
const PORT_DEADLINE_MS = 60_000;
const AGAIN_MS = 1000;
const LOOPBACK = { index: 1, name: "lo" };

/** The guest this process runs in. */
export function thisGuest(): Guest {
  return { network: { socket: openRoute() }, becomePod, writeFiles: writePodFiles, powerOff };
}

/** A gRPC server without a listener: connections are injected. */
export function createServer(
  service: Service,
  exits: Exits = createExits(),
): ReturnType<Server["createConnectionInjector"]> {
  const server = new Server({
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.enable_channelz": 0,
  });
  server.addService(AgentService, service.rpcs);
  const stdio = {
    ...ContainersService.stdio,
    requestDeserialize: decodeRequest,
    responseSerialize: responseEncoder(),
  };
  server.addService({ ...ContainersService, stdio }, createContainerService(exits));
  return server.createConnectionInjector(ServerCredentials.createInsecure());
}

/** Serves the host over the agent's port for ever; a port that goes is waited for again. */
export async function serve(guest: Guest, exits: Exits): Promise<never> {
  await loopbackUp(guest);
  const service = createService(guest);
  const injector = createServer(service, exits);
  const languages = [
    greetings((message, signal) => greet(service, message, signal)),
    http2((stream) => {
      log("host connected");
      stream.once("close", () => log("host disconnected"));
      injector.injectConnection(stream);
    }),
  ];
  for (;;) {
    try {
      using deadline = deadlineIn(PORT_DEADLINE_MS, "wait for the agent's port");
      using port = await openPort(deadline);
      reached("serving");
      log("serving");
      await serveHosts(port, languages);
    } catch (error) {
      log("port failed", { error: reasonOf(error) });
      await sleep(AGAIN_MS);
    }
  }
}

async function loopbackUp({ network }: Guest): Promise<void> {
  try {
    using deadline = deadlineIn(5000, "bring loopback up");
    await setLink(network.socket, LOOPBACK, { up: true }, deadline);
  } catch (error) {
    log("init step failed", { error: reasonOf(error) });
  }
}
