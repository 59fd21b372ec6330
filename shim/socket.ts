import { linkSync, mkdirSync, statSync, unlinkSync } from "node:fs";
import { createConnection, createServer, type Server } from "node:net";
import { dirname, join } from "node:path";
import { TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";

/** Where the sockets of all shims lie, unless containerd (2.3 and later) or TAPIR_SOCKET_DIR name another place. */
export const SOCKET_DIRECTORY = "/run/tapir/s";

/** sun_path holds 108 bytes with its final 0; containerd allows 106. */
const MAX_PATH_BYTES = 106;

/**
 * The socket of the shim that serves sandbox `sandboxId`: the same words always give the same path, so the
 * containers of a pod find it. Throws when the directory's path is too long.
 */
export function socketPath(directory: string, address: string, namespace: string, sandboxId: string): string {
  const path = join(directory, shortName(JSON.stringify([address, namespace, sandboxId])));
  if (Buffer.byteLength(temporary(path)) > MAX_PATH_BYTES) {
    throw new TapirError({
      code: Code.INVALID_ARGUMENT,
      operation: "listen on",
      object: path,
      cause: `the path is over ${MAX_PATH_BYTES} bytes`,
      hint: "choose a shorter TAPIR_SOCKET_DIR",
    });
  }
  return path;
}

/**
 * 128 bits that tell words apart, as 32 hexadecimal digits: four FNV-1a of 32 bits, mixed at the end. Nobody who could make
 * two that collide gains by it, and loading node:crypto takes as long as all the rest of `start`.
 */
function shortName(text: string): string {
  const bytes = Buffer.from(text);
  return [0x811c9dc5, 0x01000193, 0x9e3779b9, 0x85ebca6b]
    .map((seed) => {
      let hash = seed;
      for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
      hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
      hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
      return ((hash ^ (hash >>> 16)) >>> 0).toString(16).padStart(8, "0");
    })
    .join("");
}

/** The path in an address that containerd and shims exchange ("unix:///run/..."). */
export function pathOfAddress(address: string): string {
  return address.startsWith("unix://") ? address.slice("unix://".length) : address;
}

const temporary = (path: string): string => `${path}.${process.pid}`;

/**
 * Listens on `path` (0600, in a directory of 0700) and returns the server, or undefined when a living shim already
 * does. The socket of a dead one is replaced. Node removes what it bound when the server closes, so it binds another
 * name and `path` is a second link to the same socket.
 */
export async function listenUnlessServed(path: string): Promise<Server | undefined> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const mask = process.umask(0o177);
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(temporary(path), resolve);
    });
  } finally {
    process.umask(mask);
  }
  try {
    while (!linked(temporary(path), path)) {
      if (await answers(path)) {
        server.close();
        return undefined;
      }
      remove(path);
    }
  } finally {
    remove(temporary(path));
  }
  return server;
}

/** Whether a living process listens on `path`: a dead one's socket refuses, an absent one is not found. */
export function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path, () => {
      socket.destroy();
      resolve(true);
    });
    // A full backlog (EAGAIN) belongs to a process that lives.
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code === "EAGAIN"));
  });
}

/** How the serving process gives its socket's name back: not when it has gone to another one meanwhile. */
export function claim(path: string): () => void {
  const inode = (): number | undefined => statSync(path, { throwIfNoEntry: false })?.ino;
  const mine = inode();
  return () => {
    if (mine !== undefined && inode() === mine) remove(path);
  };
}

/** Removes a socket; one that is not there is fine. */
export function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
}

/** link(2) never replaces: of two shims that start at once, one gets the name. */
function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (hasCode(error, "EEXIST")) return false;
    throw error;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
