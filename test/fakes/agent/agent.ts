import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import * as api from "../../../proto/gen/tapir/agent/v1/container.ts";
import { ContainersService } from "../../../proto/gen/tapir/agent/v1/container_service.ts";
import { type FakeProcess, type OciProcess, startFake } from "./process.ts";

interface FakeContainer {
  readonly rootfs: string;
  readonly init: OciProcess;
  readonly stdio: api.StdioSetup;
  readonly processes: Map<string, FakeProcess>;
  /** Resolves with an exit status when it is killed before its start. */
  readonly killed: PromiseWithResolvers<number>;
  readonly started: PromiseWithResolvers<FakeProcess>;
}

class Refused extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * The Containers service of an agent without a guest: processes run on this machine, in the container's own root. A
 * container whose annotation `io.tapir.fake.<method>` is "hang" gets no answer to that method.
 */
export async function serveFakeAgent(socket: string): Promise<() => void> {
  const containers = new Map<string, FakeContainer>();
  const containerOf = (id: string): FakeContainer => {
    const found = containers.get(id);
    if (found === undefined) throw new Refused(status.NOT_FOUND, `no container ${id}`);
    return found;
  };
  const processOf = async (id: string, execId: string): Promise<FakeProcess> => {
    const container = containerOf(id);
    const found = container.processes.get(execId);
    if (found !== undefined) return found;
    if (execId !== "") throw new Refused(status.NOT_FOUND, `no exec ${execId}`);
    return container.started.promise;
  };
  const missing = (process: OciProcess) => ({
    exitStatus: 127,
    reason: `executable file \`${process.args[0]}\` not found in $PATH: No such file or directory`,
  });

  const unary = {
    async configurePod() {
      return {};
    },
    async addStorage() {
      return {};
    },
    async removeStorage() {
      return {};
    },
    async createContainer(request: api.CreateContainerRequest) {
      const { containerId, rootfs, stdio } = request;
      if (containers.has(containerId)) throw new Refused(status.ALREADY_EXISTS, "there is one");
      const spec = JSON.parse(request.spec.toString()) as {
        process: OciProcess;
        annotations?: Record<string, string>;
      };
      if (spec.annotations?.["io.tapir.fake.create"] === "hang") await new Promise(() => undefined);
      containers.set(containerId, {
        rootfs: `/${rootfs?.path ?? ""}`,
        init: spec.process,
        stdio: stdio ?? { stdin: false, stdout: false, stderr: false },
        processes: new Map(),
        killed: Promise.withResolvers(),
        started: Promise.withResolvers(),
      });
      return { pid: 1, failure: undefined, ignored: [] };
    },
    async startContainer({ containerId }: api.StartContainerRequest) {
      const container = containerOf(containerId);
      const process = startFake(container.rootfs, container.init, container.stdio);
      if (process === undefined) throw new Refused(status.UNKNOWN, missing(container.init).reason);
      container.processes.set("", process);
      container.started.resolve(process);
      return {};
    },
    async removeContainer({ containerId }: api.RemoveContainerRequest) {
      for (const process of containers.get(containerId)?.processes.values() ?? []) {
        if (!process.ended()) process.signal(9);
        await process.exited;
      }
      containers.delete(containerId);
      return {};
    },
    async pauseContainer({ containerId }: api.PauseContainerRequest) {
      for (const process of containerOf(containerId).processes.values()) process.signal(19);
      return {};
    },
    async resumeContainer({ containerId }: api.ResumeContainerRequest) {
      for (const process of containerOf(containerId).processes.values()) process.signal(18);
      return {};
    },
    async updateContainer({ containerId }: api.UpdateContainerRequest) {
      containerOf(containerId);
      return { ignored: [] };
    },
    async statsContainer({ containerId }: api.StatsContainerRequest) {
      if (containerId !== "") containerOf(containerId);
      return api.StatsContainerResponse.fromPartial({
        cpu: { usageMicroseconds: 1_500_000n },
        memory: { usageBytes: 4_000_000n, limitBytes: 2n ** 64n - 1n, stat: { inactive_file: 1_000_000n } },
        pids: { current: 1n, limit: 2n ** 64n - 1n },
      });
    },
    async listProcesses() {
      return { processes: [] };
    },
    async execProcess(request: api.ExecProcessRequest) {
      const container = containerOf(request.containerId);
      const wanted = JSON.parse(request.process.toString()) as OciProcess;
      const stdio = request.stdio ?? { stdin: false, stdout: false, stderr: false };
      const process = startFake(container.rootfs, wanted, stdio);
      if (process === undefined) return { pid: 0, failure: missing(wanted) };
      container.processes.set(request.execId, process);
      return { pid: process.child.pid ?? 0, failure: undefined };
    },
    async signalProcess({ containerId, execId, signal, all }: api.SignalProcessRequest) {
      const container = containerOf(containerId);
      const process = container.processes.get(execId);
      if (process === undefined && execId === "") {
        container.killed.resolve(128 + signal);
        return {};
      }
      const targets = all ? [...container.processes.values()].filter((one) => !one.ended()) : [process];
      for (const target of targets) {
        if (target === undefined || target.ended()) throw new Refused(status.NOT_FOUND, "it has ended");
        target.signal(signal);
      }
      return {};
    },
    async waitProcess({ containerId, execId }: api.WaitProcessRequest) {
      const { killed } = containerOf(containerId);
      const exit = await Promise.race([
        processOf(containerId, execId).then(({ exited }) => exited),
        ...(execId === "" ? [killed.promise.then((code) => ({ status: code, exitedAtMs: Date.now() }))] : []),
      ]);
      return {
        exitStatus: exit.status,
        unixTimeNanoseconds: BigInt(exit.exitedAtMs) * 1_000_000n,
        oomKilled: false,
      };
    },
    async removeProcess({ containerId, execId }: api.RemoveProcessRequest) {
      containers.get(containerId)?.processes.delete(execId);
      return {};
    },
    async resizeTerminal() {
      return {};
    },
    async closeStdin({ containerId, execId }: api.CloseStdinRequest) {
      (await processOf(containerId, execId)).child.stdin?.end();
      return {};
    },
    async onlineResources() {
      return { vcpus: 1, memoryBytes: 0n };
    },
  };

  const service: UntypedServiceImplementation = {
    ...Object.fromEntries(Object.entries(unary).map(([name, run]) => [name, handler(run as never)])),
    stdio: (call: ServerDuplexStream<api.StdioRequest, api.StdioResponse>) =>
      void serveStdio(call, processOf),
    events: (call: { write(event: api.Event): void }) => call.write({ subscribed: true }),
    portForward: () => undefined,
  };
  const server = new Server();
  server.addService(ContainersService, service);
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    ),
  );
  return () => server.forceShutdown();
}

function handler(run: (request: unknown) => Promise<unknown>) {
  return (call: ServerUnaryCall<unknown, unknown>, answer: sendUnaryData<unknown>): void => {
    run(call.request).then(
      (response) => answer(null, response),
      (error: unknown) => {
        const code = error instanceof Refused ? error.code : status.UNKNOWN;
        answer({ code, details: error instanceof Error ? error.message : String(error) });
      },
    );
  };
}

async function serveStdio(
  call: ServerDuplexStream<api.StdioRequest, api.StdioResponse>,
  processOf: (id: string, execId: string) => Promise<FakeProcess>,
): Promise<void> {
  const requests = call[Symbol.asyncIterator]();
  const first = (await requests.next()).value as api.StdioRequest;
  const process = await processOf(first.containerId, first.execId);
  const { child } = process;
  void (async () => {
    for await (const { stdin } of requests as AsyncIterable<api.StdioRequest>) {
      if (child.stdin?.write(stdin) === false)
        await new Promise((resolve) => child.stdin?.once("drain", resolve));
    }
    child.stdin?.end();
  })().catch(() => undefined);
  const send = (event: Partial<api.StdioResponse>): Promise<void> =>
    new Promise((resolve) => void call.write(api.StdioResponse.fromPartial(event), () => resolve()));
  const outputs = (["stdout", "stderr"] as const).map(async (name) => {
    for await (const chunk of process[name] ?? []) await send({ [name]: chunk });
    await send(name === "stdout" ? { stdoutEnd: true } : { stderrEnd: true });
  });
  await Promise.all([process.exited, ...outputs]);
  await send({ drained: true });
  call.end();
}
