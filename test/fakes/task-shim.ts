import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createListener } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { TaskDefinition } from "../../proto/gen/containerd/task/task.ts";
import type { GuestContainers } from "../../shim/containers-client.ts";
import type { CreatedPod, Pod, PodContext, PodExit } from "../../shim/sandbox/pod.ts";
import { handlersOf } from "../../shim/task/handlers.ts";
import { taskService } from "../../shim/task/service.ts";
import { statusOfError } from "../../shim/task/status.ts";
import { openTasks } from "../../shim/task/tasks.ts";
import { connect } from "../../shim/ttrpc/client.ts";
import { createServer } from "../../shim/ttrpc/server.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { yesGuest } from "./guest.ts";

type Methods = typeof TaskDefinition.methods;
type Fields<K extends keyof Methods> = Parameters<Methods[K]["requestType"]["fromPartial"]>[0];

/** A pod whose every step the test decides. */
function steeredPod(answers: Partial<GuestContainers>) {
  const created = Promise.withResolvers<void>();
  const exited = Promise.withResolvers<PodExit>();
  const calls: string[] = [];
  const contexts: PodContext[] = [];
  const pod: Pod & { failClose: number; stopEndsIt: boolean; closed: Promise<void> } = {
    failClose: 0,
    closed: Promise.resolve(),
    stopEndsIt: true,
    async create(deadline: Deadline): Promise<CreatedPod> {
      calls.push("create");
      await deadline.race(created.promise);
      return { pid: 4242, exited: exited.promise, guest: yesGuest(answers) };
    },
    async start() {
      calls.push("start");
    },
    async stop() {
      calls.push("stop");
      if (pod.stopEndsIt) exited.resolve({ status: 255, reason: "stopped" });
    },
    async close() {
      calls.push("close");
      await pod.closed;
      if (pod.failClose-- > 0) throw new Error("busy");
    },
  };
  return { pod, calls, contexts, created, exited };
}

/** The Task service as containerd meets it: over ttrpc, on a unix socket. */
export async function startTaskShim(
  t: ExecutionContext,
  config: object = {},
  answers: Partial<GuestContainers> = {},
) {
  const directory = mkdtempSync(join(tmpdir(), "task-"));
  const sandbox = {
    annotations: { "io.kubernetes.cri.container-type": "sandbox" },
    linux: { namespaces: [{ type: "network", path: "/run/netns/x" }] },
  };
  writeFileSync(join(directory, "config.json"), JSON.stringify({ ...sandbox, ...config }));
  const steered = steeredPod(answers);
  const events: string[] = [];
  /** As `events`, with the exec id of those that are an exec's. */
  const stories: string[] = [];
  const shutdown = Promise.withResolvers<void>();
  const quiet = () => undefined;
  const tasks = openTasks({
    namespace: "k8s.io",
    calledAtMs: 5,
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    publisher: {
      publish(kind, fields) {
        events.push(kind);
        const { containerId, execId, id = execId } = fields as Record<string, string | undefined>;
        stories.push([kind, containerId, ...(id === undefined || id === containerId ? [] : [id])].join(" "));
      },
      close: async () => undefined,
    },
    showDebug: quiet,
    onHelpless: quiet,
    openPod(context) {
      steered.contexts.push(context);
      return steered.pod;
    },
  });
  const service = taskService({ tasks, version: "1", onShutdown: shutdown.resolve });
  const handlers = handlersOf(TaskDefinition.methods, service);
  const server = createServer({ services: { "containerd.task.v2.Task": handlers }, statusOf: statusOfError });
  const listener = createListener((socket) => server.accept(socket));
  await new Promise<void>((resolve) => listener.listen(join(directory, "s"), resolve));
  const client = await connect(join(directory, "s"), 1000);
  t.teardown(() => {
    client.close();
    listener.close();
    rmSync(directory, { recursive: true });
  });
  async function call<K extends keyof Methods>(method: K, fields: Fields<K>, timeoutMs = 5000) {
    const { name, requestType, responseType } = TaskDefinition.methods[method];
    const message = (requestType.fromPartial as (from: object) => never)(fields);
    const payload = requestType.encode(message).finish();
    const answer = await client.call("containerd.task.v2.Task", name, payload, { timeoutMs });
    return responseType.decode(answer) as ReturnType<Methods[K]["responseType"]["decode"]>;
  }
  const create = () => call("create", { id: "pod", bundle: directory });
  /** A pod that runs. */
  const start = async () => {
    steered.created.resolve();
    await create();
    await call("start", { id: "pod" });
  };
  /** Creates a container of the pod; `spec` are further parts of its bundle's. */
  const createContainer = async (id: string, spec: object = {}) => {
    const bundle = join(directory, id);
    mkdirSync(bundle);
    const annotations = {
      "io.kubernetes.cri.container-type": "container",
      "io.kubernetes.cri.sandbox-id": "pod",
    };
    writeFileSync(join(bundle, "config.json"), JSON.stringify({ annotations, ...spec }));
    return call("create", { id, bundle });
  };
  return {
    ...{ ...steered, call, create, client, directory, events, stories, tasks },
    ...{ start, createContainer, shutdown: shutdown.promise },
  };
}
