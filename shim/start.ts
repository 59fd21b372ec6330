import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, constants, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import type { Server } from "node:net";
import { identify } from "../sys/identity.ts";
import { type Invocation, requireIdentity } from "./bootstrap.ts";
import { addressFile, shimIdentityFile, shimPidFile } from "./bundle-files.ts";
import { CALLED_AT } from "./handover.ts";
import { encodeAnswer, readParameters, readStdin, type StartParameters } from "./parameters.ts";
import { podGroup } from "./sandbox/group.ts";
import { readOciSpec } from "./sandbox/oci.ts";
import { answers, listenUnlessServed, remove, SOCKET_DIRECTORY, socketPath } from "./socket.ts";

/**
 * `start`, run in the bundle: prints the address of the shim that serves this container, and ends. The first one of a
 * pod makes the socket itself and hands it to a new serve process, so that containerd can connect while that boots.
 */
export async function start(invocation: Invocation): Promise<void> {
  const bundle = process.cwd();
  const parameters = await readParameters(invocation, process.env, await readStdin());
  requireIdentity({ ...invocation, ...parameters });
  const { id, namespace, address: containerd } = parameters;
  const group = podGroup(id, readOciSpec(bundle).annotations);
  const path = socketPath(
    parameters.socketDirectory || SOCKET_DIRECTORY,
    containerd,
    namespace,
    group.sandboxId,
  );
  if (group.kind !== "container") {
    const server = await listenUnlessServed(path);
    if (server !== undefined) startServe(bundle, path, server, parameters);
  } else if (!(await answers(path))) {
    throw new Error(
      `cannot start container ${id}: the shim of its sandbox ${group.sandboxId} is not running; remove the pod`,
    );
  }
  const address = `unix://${path}`;
  addressFile.write(bundle, address);
  const answer = await encodeAnswer(parameters.answer, address);
  writeSync(1, typeof answer === "string" ? Buffer.from(answer) : answer);
  process.exit(0);
}

function startServe(bundle: string, path: string, server: Server, parameters: StartParameters): void {
  const log = openLogFifo();
  try {
    const child = spawn(process.execPath, serveArguments(path, parameters), {
      cwd: bundle,
      env: serveEnvironment(parameters),
      // Own session: no signal meant for containerd's group reaches it. None of containerd's pipes stays open in it;
      // what Node itself has to say when it cannot run goes to containerd's log.
      detached: true,
      stdio: ["ignore", "ignore", log ?? "ignore", descriptorOf(server)],
    });
    noteServe(bundle, child);
  } catch (error) {
    remove(path);
    throw error;
  } finally {
    if (log !== undefined) closeSync(log);
  }
}

function noteServe(bundle: string, child: ChildProcess): void {
  // When spawning fails the error comes as an event later; the pid is missing at once.
  child.on("error", () => undefined);
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  if (identity === undefined)
    throw new Error(`cannot start ${process.execPath}: it did not run; install Tapir again`);
  shimPidFile.write(bundle, String(identity.pid));
  shimIdentityFile.write(bundle, identity);
  adjustOomScore(identity.pid);
  child.unref();
}

function serveArguments(path: string, parameters: StartParameters): string[] {
  const { namespace, id, address, debug } = parameters;
  return [
    ...process.execArgv,
    process.argv[1] ?? "",
    ...["-namespace", namespace, "-id", id, "-address", address, "-socket", path],
    ...(debug ? ["-debug"] : []),
    "serve",
  ];
}

/** Settings of other people's Node programs are not for this one. */
function serveEnvironment(parameters: StartParameters): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("NODE_"));
  return {
    ...Object.fromEntries(inherited),
    TTRPC_ADDRESS: parameters.ttrpcAddress,
    [CALLED_AT]: String(performance.timeOrigin),
  };
}

/** containerd's fifo for log lines; undefined when nobody reads it. Opening it must not wait. */
function openLogFifo(): number | undefined {
  try {
    return openSync("log", constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

/** Short of memory, the kernel shall take a shim before containerd, never after. */
function adjustOomScore(pid: number): void {
  const MAX_SCORE = 1000;
  try {
    const containerd = Number(readFileSync(`/proc/${process.ppid}/oom_score_adj`, "utf8"));
    writeFileSync(`/proc/${pid}/oom_score_adj`, String(Math.min(containerd + 1, MAX_SCORE)));
  } catch {
    // Not allowed in some containers; the pod works without.
  }
}

/** Node has no public way to hand a listening socket to another program; the handle's descriptor is long-standing. */
function descriptorOf(server: Server): number {
  const handle: unknown = Reflect.get(server, "_handle");
  const fd: unknown = typeof handle === "object" && handle !== null ? Reflect.get(handle, "fd") : undefined;
  if (typeof fd !== "number" || fd < 0)
    throw new Error("cannot hand over the socket: this Node hides its descriptor");
  return fd;
}
