import type { Deadline } from "../../../sys/deadline.ts";
import { errnoOf, TapirError } from "../../../sys/error.ts";
import { socketOf } from "../../../sys/fdpass.ts";
import { Code } from "../../../sys/status.ts";
import { connectUnix, peerOf } from "../../../sys/unix-socket.ts";
import { readLines } from "./line-reader.ts";
import { type CacheState, decodeState, encodeLine, STATE_REQUEST } from "./message.ts";

/** A server that answers. */
export interface AskedCache extends CacheState {
  readonly pid: number;
}

/** Asks the server of the VM cache what it has; undefined when none listens. Errors: it is somebody else's, or does not answer. */
export async function askCache(path: string, deadline: Deadline): Promise<AskedCache | undefined> {
  const fd = connectIfServed(path);
  if (fd === undefined) return undefined;
  const socket = socketOf(fd);
  try {
    const { pid, uid } = peerOf(fd);
    if (uid !== process.geteuid?.()) {
      const cause = `its server belongs to user ${uid}`;
      throw new TapirError({ code: Code.PERMISSION_DENIED, operation: "ask", object: path, cause });
    }
    socket.write(encodeLine(STATE_REQUEST));
    return { pid, ...decodeState(await readLines(socket).next(deadline)) };
  } finally {
    socket.destroy();
  }
}

function connectIfServed(path: string): number | undefined {
  try {
    return connectUnix(path);
  } catch (error) {
    if (["ENOENT", "ECONNREFUSED"].includes(errnoOf(error) ?? "")) return undefined;
    throw error;
  }
}
