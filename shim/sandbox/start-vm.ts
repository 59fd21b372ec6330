import type { Vm } from "../../hypervisor/hypervisor.ts";
import { exitError } from "../../hypervisor/qemu/exit.ts";
import { createQemu } from "../../hypervisor/qemu/qemu.ts";
import type { AttachedNic } from "../../network/attached-nic.ts";
import { connect } from "../../network/connect.ts";
import { discover } from "../../network/discover.ts";
import { planGuest } from "../../network/guest-plan.ts";
import { modelNamed } from "../../network/model.ts";
import { planNics } from "../../network/nic-plan.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { wrapError } from "../../sys/error.ts";
import type { Ledger } from "../../sys/ledger.ts";
import { type Agent, connectAgent } from "../agent-client.ts";
import type { Timeline } from "../state/timeline.ts";
import type { SandboxSpec } from "./bundle.ts";
import { guestRequest } from "./guest-request.ts";
import type { Settings } from "./settings.ts";

export interface VmStart {
  readonly spec: SandboxSpec;
  readonly settings: Settings;
  readonly ledger: Ledger;
  readonly timeline: Timeline;
  readonly deadline: Deadline;
}

/** A VM whose guest is this pod's. */
export interface PodVm {
  readonly vm: Vm;
  readonly agent: Agent;
}

/** The way of one pod, from its netns to its configured guest. Everything acquired on it is in the ledger. */
export async function startVm(start: VmStart): Promise<PodVm> {
  const { spec, settings, ledger, timeline, deadline } = start;
  const { network, hypervisor } = settings.configuration;
  const model = modelNamed(network.internetworkingModel);

  const found = await timeline.measure("discover", () => discover(spec.netns, deadline));
  const plans = planNics(found, { model, vcpus: hypervisor.qemu.defaultVcpus });
  const vhostNet = !hypervisor.qemu.disableVhostNet;
  const nics = await timeline.measure("connect", () =>
    connect(found, plans, { model, ledger, vhostNet }, deadline),
  );
  const vm = await timeline.measure("VM start", () => launch(start, nics));
  const agent = connectAgent(vm.agentSocket);
  void vm.exited.then(() => agent[Symbol.dispose]());

  await unlessEnded(vm, () => configure(start, vm, agent, planGuest(found, plans)));
  return { vm, agent };
}

async function launch(
  { spec, settings, ledger, deadline }: VmStart,
  nics: readonly AttachedNic[],
): Promise<Vm> {
  const { qemu } = settings.configuration.hypervisor;
  try {
    return await createQemu().start(
      {
        name: spec.id,
        directory: ledger.directory,
        qemu: qemu.path,
        kernel: qemu.kernel,
        initramfs: qemu.initramfs,
        image: qemu.image,
        imageDriver: qemu.imageDriver,
        accelerator: settings.accelerator,
        vcpus: qemu.defaultVcpus,
        memoryMiB: qemu.defaultMemoryMib,
        rootPorts: qemu.pcieRootPorts,
        kernelParameters: qemu.kernelParams,
        nics: nics.map(({ plan, tapFds, vhostFds }) => ({ id: plan.id, mac: plan.mac, tapFds, vhostFds })),
      },
      ledger,
      deadline,
    );
  } finally {
    // QEMU has its own copies: the taps are to die with it.
    for (const nic of nics) nic.closeDescriptors();
  }
}

async function configure(
  { spec, settings, timeline, deadline }: VmStart,
  vm: Vm,
  agent: Agent,
  network: ReturnType<typeof planGuest>,
): Promise<void> {
  const { agent: timeouts } = settings.configuration;
  const bootMs = timeline.nowMs();
  const dialing = deadline.within(
    settings.timeoutMs(timeouts.dialTimeoutSeconds),
    `reach the agent of ${spec.id}`,
  );
  await timeline
    .measure("guest boot", () => agent.ready(dialing))
    .catch((error: unknown) => {
      throw wrapError(error, {
        operation: "reach",
        object: "the agent in the guest",
        hint: `the guest's console ends with:\n${vm.consoleTail()}`,
      });
    });
  const asking = deadline.within(
    settings.timeoutMs(timeouts.requestTimeoutSeconds),
    `configure the guest of ${spec.id}`,
  );
  const { milestones } = await timeline.measure("configure", () =>
    agent.createSandbox(guestRequest(spec, network, asking.remainingMs() / 2), asking),
  );
  let startMs = bootMs;
  for (const { name, seconds } of milestones) {
    const endMs = bootMs + seconds * 1000;
    timeline.add({ name: `guest: ${name}`, startMs, endMs });
    startMs = endMs;
  }
}

/** The result of `work`, or why the VM ended before there was one. */
async function unlessEnded<T>(vm: Vm, work: () => Promise<T>): Promise<T> {
  const ended = vm.exited.then((exit) => {
    throw exitError("the pod", exit, vm.consoleTail());
  });
  const working = work();
  // Whichever comes second has nobody to tell.
  ended.catch(() => undefined);
  working.catch(() => undefined);
  return Promise.race([working, ended]);
}
