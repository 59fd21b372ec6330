import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream";
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
  type ServiceError,
  type status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { ExecutionContext } from "ava";
import { AgentService } from "../../proto/gen/tapir/agent/v1/agent_service.ts";
import type { StdioRequest, StdioResponse } from "../../proto/gen/tapir/agent/v1/container.ts";
import { ContainersService } from "../../proto/gen/tapir/agent/v1/container_service.ts";
import { type Agent, connectAgent } from "../../shim/agent-client.ts";

export type Answer = (error: Partial<ServiceError> | null, response?: object) => void;
/** What the guest does with a call: anything at all. */
export type Lies = Readonly<
  Record<string, (call: ServerDuplexStream<StdioRequest, StdioResponse>, answer: Answer) => void>
>;

/**
 * An agent in the hands of the workload, on a real unix socket, and the shim's own client of it. What `lies` does not have
 * is never answered. Lies may be changed while it runs.
 */
export async function hostileAgent(
  t: Pick<ExecutionContext, "teardown">,
  lies: Lies,
): Promise<{ readonly agent: Agent; readonly socket: string; hangUp(): void }> {
  const directory = mkdtempSync(join(tmpdir(), "hostile-"));
  const [behind, socket] = ["behind.sock", "agent.sock"].map((name) => join(directory, name)) as [
    string,
    string,
  ];
  const server = new Server();
  const serve = (service: ServiceDefinition): void => {
    const methods = Object.keys(service).map((name) => [
      name,
      (call: ServerDuplexStream<StdioRequest, StdioResponse>, answer: Answer) => lies[name]?.(call, answer),
    ]);
    server.addService(service, Object.fromEntries(methods) as UntypedServiceImplementation);
  };
  serve(AgentService);
  serve(ContainersService);
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${behind}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    ),
  );
  // As QEMU: bytes go through, and end without a word.
  const connections = new Set<Socket>();
  const port = createServer((near) => {
    const far = connect(behind);
    for (const one of [near, far]) connections.add(one.on("error", () => undefined));
    pipeline(near, far, near, () => undefined);
  });
  await new Promise<void>((resolve) => port.listen(socket, resolve));
  const hangUp = (): void => {
    for (const one of connections) one.destroy();
    connections.clear();
  };
  const agent = connectAgent(socket);
  t.teardown(() => {
    agent[Symbol.dispose]();
    server.forceShutdown();
    port.close();
    hangUp();
    rmSync(directory, { recursive: true });
  });
  return { agent, socket, hangUp };
}

/** A refusal in the guest's words. */
export function refusal(
  code: number,
  details: string,
  fields: Record<string, string> = {},
): Partial<ServiceError> {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(fields)) metadata.set(name, value);
  return { code: code as status, details, metadata };
}
