import type { Socket } from "node:net";
import type { Deadline } from "../../../sys/deadline.ts";
import { TapirError } from "../../../sys/error.ts";
import { failpoint } from "../../../sys/failpoint.ts";
import { closeAll, sendDescriptors } from "../../../sys/fdpass.ts";
import { Code } from "../../../sys/status.ts";
import type { Clone } from "./clone.ts";
import { readLines } from "./line-reader.ts";
import { type CacheState, decodeRequest, encodeLine, expectLine, TAKEN, YOURS } from "./message.ts";

export interface Connection {
  readonly socket: Socket;
  /** The descriptor below `socket`. */
  readonly fd: number;
}

/** What a connection may ask for. */
export interface CloneSource {
  /** A clone for pods of this key, the caller's from now on. */
  take(key: string): Clone | undefined;
  state(): CacheState;
}

/**
 * The server's side of one hand-over. Until the shim says that the clone is in its ledger the clone is in ours; then ours
 * forgets it, and only then the shim is told. Whatever fails in between, the clone goes: the shim that does not hear the
 * last word removes it, too.
 */
export async function handOver(
  { socket, fd }: Connection,
  source: CloneSource,
  deadline: Deadline,
): Promise<"taken" | "none" | "told"> {
  const lines = readLines(socket);
  const request = decodeRequest(await lines.next(deadline));
  if ("state" in request) {
    socket.write(encodeLine({ state: source.state() }));
    return "told";
  }
  const clone = source.take(request.take);
  if (clone === undefined) {
    socket.write(encodeLine({ none: "no clone of this kind is ready" }));
    return "none";
  }
  try {
    await failpoint("cache.offer");
    offer(fd, clone);
    await failpoint("cache.offer!");
    expectLine(await lines.next(deadline), TAKEN);
    await failpoint("cache.cede");
    clone.cede();
    await failpoint("cache.cede!");
    socket.write(encodeLine(YOURS));
    return "taken";
  } catch (error) {
    // Does nothing to one that is ceded.
    await clone.remove();
    throw error;
  }
}

/** Our copies are closed once they are on their way: QEMU is alone, or the shim's. */
function offer(fd: number, clone: Clone): void {
  const { clone: offered, descriptors } = clone.offer();
  const { monitor, console, stderr } = descriptors;
  try {
    const line = encodeLine({ clone: offered });
    // The first thing said on this side: a socket's buffer holds it.
    const sent = sendDescriptors(fd, line, [monitor, console, stderr]);
    if (sent < line.length) {
      const cause = `only ${sent} of ${line.length} bytes could be sent`;
      throw new TapirError({ code: Code.UNAVAILABLE, operation: "offer", object: "a clone", cause });
    }
  } finally {
    closeAll([monitor, console, stderr]);
  }
}
