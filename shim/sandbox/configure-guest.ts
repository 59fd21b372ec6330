import type { Vm } from "../../hypervisor/hypervisor.ts";
import { exitError } from "../../hypervisor/qemu/exit.ts";
import type { GuestNetwork } from "../../network/guest-network.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { wrapError } from "../../sys/error.ts";
import type { Agent } from "../agent-client.ts";
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
}

/** A restored guest answers at once or not at all: this is long enough to be sure. */
const RESTORED_SHARE = 0.25;

/** Waits until the guest's agent serves. Returns when that began, in the timeline's milliseconds. */
export async function reachAgent(guest: RunningGuest): Promise<number> {
  const { spec, settings, timeline, deadline, vm, agent } = guest;
  const runningMs = timeline.nowMs();
  const dialMs = settings.timeoutMs(settings.configuration.agent.dialTimeoutSeconds);
  const dialing = deadline.within(
    vm.restored === undefined ? dialMs : dialMs * RESTORED_SHARE,
    `reach the agent of ${spec.id}`,
  );
  const waiting = vm.restored === undefined ? "guest boot" : "agent ready";
  await timeline
    .measure(waiting, () => agent.ready(dialing))
    .catch((error: unknown) => {
      throw wrapError(error, {
        operation: "reach",
        object: "the agent in the guest",
        hint: `the guest's console ends with:\n${vm.consoleTail()}`,
      });
    });
  return runningMs;
}

/** Makes the guest the pod's, in one round trip. */
export async function configureGuest(
  guest: RunningGuest & { readonly network: GuestNetwork; readonly runningMs: number },
): Promise<void> {
  const { spec, settings, timeline, deadline, vm, agent, network, runningMs } = guest;
  const asking = deadline.within(
    settings.timeoutMs(settings.configuration.agent.requestTimeoutSeconds),
    `configure the guest of ${spec.id}`,
  );
  const { milestones } = await timeline.measure("configure", () =>
    agent.createSandbox(guestRequest(spec, network, asking.remainingMs() / 2, vm.restored?.clock), asking),
  );
  // A restored guest's milestones are those of its template.
  if (vm.restored !== undefined) return;
  let startMs = runningMs;
  for (const { name, seconds } of milestones) {
    const endMs = runningMs + seconds * 1000;
    timeline.add({ name: `guest: ${name}`, startMs, endMs });
    startMs = endMs;
  }
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
