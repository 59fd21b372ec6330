import * as api from "../../proto/gen/tapir/agent/v1/container.ts";
import { hostileAgent, type Lies } from "./hostile-agent.ts";
import { honest } from "./hostile-pod.ts";

/**
 * A guest in a process of its own, so that what its host takes of a processor is seen apart: `events` and `output` flood it,
 * `silence` says nothing, `death` breaks each connection. Prints where it listens; ends with its stdin.
 */
const [, , kind = ""] = process.argv;
const MEBIBYTE = Buffer.alloc(1 << 20, "x");

const flood =
  (message: () => object): Lies[string] =>
  (call) => {
    const go = (): void => {
      while (!call.destroyed && call.write(message() as never));
    };
    call.on("drain", go).on("error", () => undefined);
    call.resume();
    go();
  };
const floods: Readonly<Record<string, Lies>> = {
  events: { events: flood(() => api.Event.fromPartial({ oomKill: { containerId: "c", kills: 1n } })) },
  output: { stdio: flood(() => api.StdioResponse.fromPartial({ stdout: MEBIBYTE })) },
};

const { socket, hangUp } = await hostileAgent({ teardown: () => undefined }, { ...honest, ...floods[kind] });
process.stdout.write(`${socket}\n`);
process.stdin.on("end", () => process.exit()).resume();
process.stdin.on("data", () => {
  if (kind === "death") setInterval(hangUp, 20);
});
