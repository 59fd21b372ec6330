import { TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";
import type { Agent } from "./agent-client.ts";

/**
 * The agent behind QEMU's unix socket; its client comes with the first question. gRPC costs a tenth of a pod's start, and a
 * pod that was restored needs none before its folder share is mounted.
 */
export function lazyAgent(socketPath: string): Agent {
  let connecting: Promise<Agent> | undefined;
  let disposed = false;
  const connect = async (): Promise<Agent> => {
    const { connectAgent } = await import("./agent-client.ts");
    if (disposed) throw gone();
    return connectAgent(socketPath);
  };
  const ask = async <Answer>(question: (agent: Agent) => Promise<Answer>): Promise<Answer> => {
    connecting ??= connect();
    return question(await connecting);
  };
  return {
    ready: (deadline) => ask((agent) => agent.ready(deadline)),
    check: (deadline) => ask((agent) => agent.check(deadline)),
    getVersion: (deadline) => ask((agent) => agent.getVersion(deadline)),
    getGuestDetails: (deadline) => ask((agent) => agent.getGuestDetails(deadline)),
    createSandbox: (request, deadline) => ask((agent) => agent.createSandbox(request, deadline)),
    prepareTemplate: (request, deadline) => ask((agent) => agent.prepareTemplate(request, deadline)),
    destroySandbox: (request, deadline) => ask((agent) => agent.destroySandbox(request, deadline)),
    updateNetwork: (request, deadline) => ask((agent) => agent.updateNetwork(request, deadline)),
    updateInterface: (request, deadline) => ask((agent) => agent.updateInterface(request, deadline)),
    updateRoutes: (request, deadline) => ask((agent) => agent.updateRoutes(request, deadline)),
    updateRules: (request, deadline) => ask((agent) => agent.updateRules(request, deadline)),
    addNeighbors: (request, deadline) => ask((agent) => agent.addNeighbors(request, deadline)),
    listInterfaces: (deadline) => ask((agent) => agent.listInterfaces(deadline)),
    listRoutes: (deadline) => ask((agent) => agent.listRoutes(deadline)),
    listRules: (deadline) => ask((agent) => agent.listRules(deadline)),
    listNeighbors: (deadline) => ask((agent) => agent.listNeighbors(deadline)),
    listCounters: (deadline) => ask((agent) => agent.listCounters(deadline)),
    ping: (request, deadline) => ask((agent) => agent.ping(request, deadline)),
    containers: {
      configurePod: (request, deadline) =>
        ask(({ containers }) => containers.configurePod(request, deadline)),
      addStorage: (request, deadline) => ask(({ containers }) => containers.addStorage(request, deadline)),
      removeStorage: (request, deadline) =>
        ask(({ containers }) => containers.removeStorage(request, deadline)),
      createContainer: (request, deadline) =>
        ask(({ containers }) => containers.createContainer(request, deadline)),
      startContainer: (request, deadline) =>
        ask(({ containers }) => containers.startContainer(request, deadline)),
      removeContainer: (request, deadline) =>
        ask(({ containers }) => containers.removeContainer(request, deadline)),
      pauseContainer: (request, deadline) =>
        ask(({ containers }) => containers.pauseContainer(request, deadline)),
      resumeContainer: (request, deadline) =>
        ask(({ containers }) => containers.resumeContainer(request, deadline)),
      updateContainer: (request, deadline) =>
        ask(({ containers }) => containers.updateContainer(request, deadline)),
      statsContainer: (request, deadline) =>
        ask(({ containers }) => containers.statsContainer(request, deadline)),
      listProcesses: (request, deadline) =>
        ask(({ containers }) => containers.listProcesses(request, deadline)),
      execProcess: (request, deadline) => ask(({ containers }) => containers.execProcess(request, deadline)),
      signalProcess: (request, deadline) =>
        ask(({ containers }) => containers.signalProcess(request, deadline)),
      waitProcess: (request, signal) => ask(({ containers }) => containers.waitProcess(request, signal)),
      removeProcess: (request, deadline) =>
        ask(({ containers }) => containers.removeProcess(request, deadline)),
      resizeTerminal: (request, deadline) =>
        ask(({ containers }) => containers.resizeTerminal(request, deadline)),
      closeStdin: (request, deadline) => ask(({ containers }) => containers.closeStdin(request, deadline)),
      onlineResources: (request, deadline) =>
        ask(({ containers }) => containers.onlineResources(request, deadline)),
      stdio: () => ask(({ containers }) => containers.stdio()),
      events: () => ask(({ containers }) => containers.events()),
      portForward: () => ask(({ containers }) => containers.portForward()),
    },
    [Symbol.dispose]() {
      disposed = true;
      void connecting?.then(
        (agent) => agent[Symbol.dispose](),
        () => undefined,
      );
    },
  };
}

function gone(): TapirError {
  const cause = "its VM has ended";
  return new TapirError({ code: Code.UNAVAILABLE, operation: "ask", object: "the guest", cause });
}
