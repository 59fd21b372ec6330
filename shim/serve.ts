import type { Server, Socket } from "node:net";
import { TaskDefinition } from "../proto/gen/containerd/task/task.ts";
import { version } from "../sys/version.ts";
import { collectWhenQuiet } from "./collect.ts";
import { writeDeleted } from "./deleted.ts";
import { openLog } from "./log.ts";
import type { StartParameters } from "./parameters.ts";
import { lazyPod } from "./sandbox/lazy-pod.ts";
import type { OpenPod } from "./sandbox/pod.ts";
import { claim } from "./socket.ts";
import { openPublisher } from "./task/events.ts";
import { handlersOf } from "./task/handlers.ts";
import { taskService } from "./task/service.ts";
import { statusOfError } from "./task/status.ts";
import { openTasks } from "./task/tasks.ts";
import { createServer } from "./ttrpc/server.ts";

/** The shim of a pod, in the process that `start` made its socket in. */
export interface Serving extends Pick<StartParameters, "id" | "namespace" | "debug" | "ttrpcAddress"> {
  /** Listens on `socket`. */
  readonly server: Server;
  readonly socket: string;
  readonly bundle: string;
}

/**
 * Without a sandbox and without a word from anybody there is nobody to stay for: containerd is gone for good, or it was
 * restarted while the sandbox was made, is connected, and knows of none that it could shut down.
 */
const IDLE_EXIT_MS = 30_000;
/** Longer than a pod's creation leaves containerd silent, shorter than kubelet's looks at its figures are apart. */
const QUIET_MS = 5_000;
/** containerd waits 3 s for the end of a shim that it told to shut down. */
const FLUSH_MS = 2_000;

/** Serves containerd's Task API for one pod. Returns who takes the connections. */
export function serve(serving: Serving): (connection: Socket) => void {
  const { id, namespace, socket, debug, ttrpcAddress, bundle, server: listener } = serving;
  const log = openLog("log", { debug, fields: { id, namespace, pid: process.pid } });
  // One mistake in one call must not take the pod with it.
  process.on("uncaughtException", (error) =>
    log.error("uncaught exception", { error: error.stack ?? error }),
  );
  process.on("unhandledRejection", (error) => log.error("unhandled rejection", { error }));

  const publisher = openPublisher({ address: ttrpcAddress, namespace, log });
  const tasks = openTasks({
    namespace,
    publisher,
    log,
    calledAtMs: performance.timeOrigin,
    showDebug: log.showDebug,
    openPod: lazyPod(loadSandbox()),
    onHelpless(error) {
      log.error("cannot undo; the shim ends, and its `delete` does it", { error });
      void end("out of descriptors");
    },
  });

  const giveBackSocket = claim(socket);
  let ending = false;
  const end = async (reason: string): Promise<void> => {
    if (ending) return;
    ending = true;
    log.info("shim ends", { reason });
    await publisher.close(FLUSH_MS);
    listener.close();
    giveBackSocket();
    // The end of the connection lets containerd run `delete`, too.
    writeDeleted(bundle);
    await server.close();
    process.exit(0);
  };

  const handlers = handlersOf(
    TaskDefinition.methods,
    taskService({
      tasks,
      version,
      onShutdown() {
        // Once it has heard the answer, containerd may run `delete` at any time.
        writeDeleted(bundle);
        setImmediate(end, "shutdown");
      },
    }),
    {
      failpoints: "task",
      onAnswered: (method, ms, error) => log.debug("request", { method, ms: ms.toFixed(1), error }),
    },
  );
  const server = createServer({
    // Version 3 of the API has the same messages under another name.
    services: { "containerd.task.v2.Task": handlers, "containerd.task.v3.Task": handlers },
    statusOf: statusOfError,
    onIdle: () => idle.refresh(),
  });
  const quiet = collectWhenQuiet(QUIET_MS);
  const idle = setTimeout(() => {
    if (!tasks.occupied) void end("nobody needs it");
  }, IDLE_EXIT_MS);
  listener.on("error", (error) => {
    log.error("cannot listen", { error });
    void end("no socket");
  });

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(
      signal,
      () =>
        void tasks.abandon(signal).then(
          () => end(signal),
          () => end(signal),
        ),
    );
  }
  process.on("SIGHUP", () => undefined);
  log.info("shim serves", { socket, version, node: process.versions.node });
  return (connection) => {
    connection.on("data", () => {
      idle.refresh();
      quiet();
    });
    server.accept(connection);
  };
}

/** What a pod needs before its QEMU runs: netlink and the C library; gRPC comes after that. */
export async function loadSandbox(): Promise<OpenPod> {
  const { adoptOrphans } = await import("../sys/orphans.ts");
  // Before the first child.
  adoptOrphans();
  return (await import("./sandbox/sandbox.ts")).openSandbox;
}

/** Everything a pod loads, for it to be compiled once. */
export async function loadAll(): Promise<void> {
  await loadSandbox();
  await import("./agent-client.ts");
  await import("./management.ts");
}
