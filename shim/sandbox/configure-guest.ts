import type { Vm } from "../../hypervisor/hypervisor.ts";
import { exitError } from "../../hypervisor/qemu/exit.ts";
import type { GuestNetwork } from "../../network/guest-network.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { wrapError } from "../../sys/error.ts";
import type { Agent } from "../agent-client.ts";
import { type Greeted, greet } from "../greet.ts";
import { guestText } from "../guest-bounds.ts";
import type { Timeline } from "../state/timeline.ts";
import type { SandboxSpec } from "./bundle.ts";
import { guestRequest } from "./guest-request.ts";
import type { Settings } from "./settings.ts";

export interface RunningGuest {
  readonly spec: SandboxSpec;
  readonly settings: Settings;
  readonly timeline: Timeline;
  readonly deadline: Deadline;
  readonly vm: Vm;
  readonly agent: Agent;
  readonly network: GuestNetwork;
}

/** A restored guest answers at once or not at all: this share of a boot's time is long enough to be sure. */
const RESTORED_SHARE = 0.25;
/** Of a guest's own account of its boot. */
const MAX_MILESTONES = 16;

/** Waits until the agent of a guest that boots serves, and makes the guest the pod's, in one round trip. */
export async function configureBooted(guest: RunningGuest): Promise<void> {
  const { spec, settings, timeline, deadline, vm, agent, network } = guest;
  const { dialTimeoutSeconds, requestTimeoutSeconds } = settings.configuration.agent;
  const runningMs = timeline.nowMs();
  const dialing = deadline.within(settings.timeoutMs(dialTimeoutSeconds), `reach the agent of ${spec.id}`);
  await timeline.measure("guest boot", () => agent.ready(dialing)).catch((error) => unreachable(vm, error));
  const asking = deadline.within(
    settings.timeoutMs(requestTimeoutSeconds),
    `configure the guest of ${spec.id}`,
  );
  const { milestones } = await timeline.measure("configure", () =>
    agent.createSandbox(guestRequest(spec, network, asking.remainingMs() / 2), asking),
  );
  let startMs = runningMs;
  for (const { name, seconds } of milestones.slice(0, MAX_MILESTONES)) {
    if (!Number.isFinite(seconds)) break;
    const endMs = runningMs + seconds * 1000;
    timeline.add({ name: `guest: ${guestText(name, 32)}`, startMs, endMs });
    startMs = endMs;
  }
}

/** Makes a restored guest the pod's, by the first words to it. Rejects when it is silent. */
export async function configureRestored(guest: RunningGuest): Promise<Greeted> {
  const { spec, settings, timeline, deadline, vm, network } = guest;
  const { dialTimeoutSeconds, requestTimeoutSeconds } = settings.configuration.agent;
  const asking = deadline.within(
    settings.timeoutMs(dialTimeoutSeconds * RESTORED_SHARE + requestTimeoutSeconds),
    `configure the guest of ${spec.id}`,
  );
  const request = guestRequest(spec, network, asking.remainingMs() / 2, vm.restored?.clock);
  return timeline
    .measure("configure", () => greet(vm.agentSocket, request, asking))
    .catch((error) => unreachable(vm, error));
}

function unreachable(vm: Vm, error: unknown): never {
  throw wrapError(error, {
    operation: "reach",
    object: "the agent in the guest",
    hint: `the guest's console ends with:\n${vm.consoleTail()}`,
  });
}

/** The result of `work`, or why the VM ended before there was one. */
export async function unlessEnded<T>(vm: Vm, work: () => Promise<T>): Promise<T> {
  const ended = vm.exited.then((exit) => {
    throw exitError("the pod", exit, vm.consoleTail());
  });
  const working = work();
  // Whichever comes second has nobody to tell.
  ended.catch(() => undefined);
  working.catch(() => undefined);
  return Promise.race([working, ended]);
}
