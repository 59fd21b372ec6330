import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { type Deadline, deadlineIn } from "../../../sys/deadline.ts";
import { reasonOf, TapirError } from "../../../sys/error.ts";
import { closeAll, socketOf } from "../../../sys/fdpass.ts";
import { tryLockDirectory } from "../../../sys/file-lock.ts";
import { type Ledger, openLedger } from "../../../sys/ledger.ts";
import { becomesReadable } from "../../../sys/readable.ts";
import { Code } from "../../../sys/status.ts";
import { acceptUnix, listenUnix, peerOf } from "../../../sys/unix-socket.ts";
import { requirePrivate } from "../directory.ts";
import { type CloneSource, type Connection, handOver } from "./hand-over.ts";
import { clearCache } from "./leftovers.ts";
import { openPool, type Pool, type PoolSettings } from "./pool.ts";

export interface CacheServerSettings {
  /** The clones' directory, see `cacheHome`. */
  readonly home: string;
  readonly socket: string;
  readonly pool: PoolSettings;
}

/** A shim does its part in milliseconds; one that died in the middle hangs up. */
const HAND_OVER_MS = 5000;
const FOR_EVER_MS = 2 ** 31 - 1;

/**
 * Keeps clones ready and hands them over until `signal` aborts; then removes those that nobody took, and itself. Pods that took
 * one need it no more. Errors: ALREADY_EXISTS (another server), the directories are not private, the socket.
 */
export async function serveCache(settings: CacheServerSettings, signal: AbortSignal): Promise<void> {
  const { home, socket } = settings;
  prepare(dirname(home), "state directory", "runtime.state_dir");
  prepare(dirname(socket), "directory of the cache's socket", "factory.cache_socket");
  using lock = tryLockDirectory(dirname(home));
  if (lock === undefined) throw anotherServes(`${dirname(home)} is locked`);
  const { failures } = await clearCache(home);
  if (failures.length > 0) throw new AggregateError(failures, failures.map(reasonOf).join("; "));
  // Not ours to remove.
  if (existsSync(socket)) throw anotherServes(`${socket} is there already`);
  const ledger = openLedger(home);
  try {
    const listener = await listen(ledger, socket);
    const pool = openPool(settings.pool);
    try {
      const { size, report } = settings.pool;
      await acceptAll(listener, sourceOf(pool, size), report, signal);
    } finally {
      await pool.close();
    }
  } finally {
    await ledger.unwind();
  }
}

/** Counts what the pool gives away. */
interface ServedSource extends CloneSource {
  served(): void;
}

/** A server's answer must fit in a line. */
const TROUBLE_CHARACTERS = 500;

function sourceOf(pool: Pool, size: number): ServedSource {
  const startMs = performance.now();
  let served = 0;
  return {
    take: pool.take,
    served: () => void served++,
    state: () => ({
      size,
      ready: pool.readyByKey(),
      served,
      uptimeSeconds: Math.round((performance.now() - startMs) / 1000),
      trouble: pool.trouble?.slice(0, TROUBLE_CHARACTERS),
    }),
  };
}

function prepare(directory: string, what: string, key: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  requirePrivate(directory, what, key);
}

async function listen(ledger: Ledger, path: string): Promise<number> {
  const { value } = await ledger.acquire("cache.socket", { kind: "file", path }, ({ onRelease }) => {
    const listener = listenUnix(path);
    onRelease(async () => closeAll([listener]));
    return listener;
  });
  return value;
}

async function acceptAll(
  listener: number,
  source: ServedSource,
  report: PoolSettings["report"],
  signal: AbortSignal,
): Promise<void> {
  const serving = new Set<Promise<void>>();
  while (!signal.aborted) {
    const limit = deadlineIn(FOR_EVER_MS, "wait for a shim", signal);
    if (!(await becomesReadable(listener, limit))) continue;
    const fd = acceptUnix(listener);
    if (fd === undefined) continue;
    const session = serveOne({ fd, socket: socketOf(fd) }, source, report, signal);
    serving.add(session);
    void session.then(() => serving.delete(session));
  }
  await Promise.all(serving);
}

/** Never rejects: what goes wrong with one shim concerns no other. */
async function serveOne(
  connection: Connection,
  source: ServedSource,
  report: PoolSettings["report"],
  signal: AbortSignal,
): Promise<void> {
  const { socket, fd } = connection;
  const deadline: Deadline = deadlineIn(HAND_OVER_MS, "hand over a VM", signal);
  try {
    const { uid, pid } = peerOf(fd);
    if (uid !== process.geteuid?.()) throw refused(pid, uid);
    const result = await handOver(connection, source, deadline);
    if (result === "taken") source.served();
    if (result === "taken") report(`a clone was taken by process ${pid}`);
    if (result === "none") report(`no clone for process ${pid}`);
  } catch (error) {
    report("a hand-over failed", error);
  } finally {
    socket.end();
    socket.destroySoon();
  }
}

function anotherServes(cause: string): TapirError {
  return new TapirError({
    code: Code.ALREADY_EXISTS,
    operation: "serve",
    object: "the VM cache",
    cause,
    hint: "stop the other server, or use another state directory and socket",
  });
}

function refused(pid: number, uid: number): TapirError {
  return new TapirError({
    code: Code.PERMISSION_DENIED,
    operation: "hand over",
    object: "a VM",
    cause: `process ${pid} belongs to user ${uid}`,
  });
}
