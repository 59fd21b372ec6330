import { closeSync, openSync } from "node:fs";
import type { Deadline } from "../deadline.ts";
import { attributeU32, decodeAttributes } from "./attribute.ts";
import { RTM } from "./message.ts";
import type { RouteSocket } from "./socket.ts";

/** Bytes of struct rtgenmsg, padded. */
const RTGENMSG = 4;
/** linux/net_namespace.h */
const NETNSA = { NSID: 1, FD: 3 } as const;

/** The number by which the socket's namespace knows the one at `path` (ip-netns(8), "nsid"); undefined: it has none. */
export async function netnsIdOf(
  socket: RouteSocket,
  path: string,
  deadline: Deadline,
): Promise<number | undefined> {
  const fd = openSync(path, "r");
  try {
    const payload = Buffer.concat([Buffer.alloc(RTGENMSG), attributeU32(NETNSA.FD, fd)]);
    const request = { type: RTM.GETNSID, payload, operation: "number", object: `netns ${path}` };
    const [reply] = await socket.request(request, deadline);
    const id = reply === undefined ? undefined : decodeAttributes(reply.payload, RTGENMSG).get(NETNSA.NSID);
    const number = id === undefined || id.length < 4 ? -1 : id.readInt32LE(0);
    return number < 0 ? undefined : number;
  } finally {
    closeSync(fd);
  }
}
