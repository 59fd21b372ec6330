import { once } from "node:events";
import { connect } from "node:http2";
import { type Duplex, duplexPair } from "node:stream";
import { openRoute } from "../sys/netlink/socket.ts";
import { createServer } from "./serve.ts";
import { createService } from "./service.ts";

/** Calls that change nothing, wherever they run. */
const CALLS = ["Check", "GetVersion", "GetGuestDetails", "ListInterfaces", "ListRoutes", "ListNeighbors"];
/** An empty message: flag and length. */
const EMPTY = Buffer.alloc(5);

/**
 * Serves a few harmless calls from within, so that a compile cache (NODE_COMPILE_CACHE) made while an image is
 * built holds what a guest will run.
 */
export async function warm(): Promise<void> {
  using socket = openRoute();
  const guest = {
    network: { socket },
    becomePod: () => undefined,
    writeFiles: () => undefined,
    powerOff: () => undefined,
  };
  const injector = createServer(createService(guest));
  const [far, near]: Duplex[] = duplexPair();
  if (far === undefined || near === undefined) return;
  injector.injectConnection(near);
  const session = connect("http://agent", { createConnection: () => far });
  for (const call of CALLS) {
    const stream = session.request({
      ":method": "POST",
      ":path": `/tapir.agent.v1.Agent/${call}`,
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.end(EMPTY);
    stream.resume();
    await once(stream, "close");
  }
  session.destroy();
  injector.destroy();
}
