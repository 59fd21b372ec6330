import type { Vm, VmNic } from "../../hypervisor/hypervisor.ts";
import type { AttachedNic } from "../../network/attached-nic.ts";
import { connect } from "../../network/connect.ts";
import { type DiscoveredNetwork, discover } from "../../network/discover.ts";
import type { GuestNetwork } from "../../network/guest-network.ts";
import { planGuest } from "../../network/guest-plan.ts";
import { modelNamed } from "../../network/models.ts";
import { planNics } from "../../network/nic-plan.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import type { Ledger } from "../../sys/ledger.ts";
import type { Agent } from "../agent-client.ts";
import type { Configuration } from "../config/schema.ts";
import { podFactory } from "../factory/pod-factory.ts";
import { vmPlan } from "../factory/vm-plan.ts";
import { lazyAgent } from "../lazy-agent.ts";
import type { Log } from "../log.ts";
import type { Timeline } from "../state/timeline.ts";
import type { SandboxSpec } from "./bundle.ts";
import { configureBooted, configureRestored, unlessEnded } from "./configure-guest.ts";
import { rateLimits, type Settings } from "./settings.ts";
import { type StartTurn, startTurn } from "./turn.ts";

export interface VmStart {
  readonly spec: SandboxSpec;
  readonly settings: Settings;
  readonly ledger: Ledger;
  readonly timeline: Timeline;
  readonly log: Log;
  readonly deadline: Deadline;
  /** Folders of the cgroups that the VM's processes join. */
  readonly cgroups: readonly string[];
}

/** A VM whose guest is this pod's. */
export interface PodVm {
  readonly vm: Vm;
  readonly agent: Agent;
}

export interface ConnectedVm extends PodVm {
  readonly nics: readonly AttachedNic[];
  /** What the guest's network was planned from; undefined for a pod without one. */
  readonly found: DiscoveredNetwork | undefined;
  /** Devices of the node are still to be handed over. */
  readonly expectsDevices: boolean;
}

/**
 * The way of one pod, from its netns to its configured guest; the netns and the VM side by side. Everything acquired on
 * it is in the ledger; nothing is acquired any more once this has settled.
 */
export async function startVm(start: VmStart): Promise<ConnectedVm> {
  const giveUp = new AbortController();
  const { deadline } = start;
  // Ends with the caller's, and when one side gives up.
  const signal = AbortSignal.any([deadline.signal, giveUp.signal]);
  const together = deadlineIn(deadline.remainingMs(), deadline.job, signal);
  const turn = startTurn(start.settings, { ...start, deadline: together });
  const connecting = connectPod(start, together);
  const starting = startConfiguredGuest({ ...start, turn }, connecting, together);
  try {
    // The first failure is the reason; the other side is told, and waited for.
    const [{ nics, found, expectsDevices }, guest] = await Promise.all([connecting, starting]);
    return { ...guest, nics, found, expectsDevices };
  } catch (error) {
    giveUp.abort(error);
    await Promise.allSettled([connecting, starting]);
    throw error;
  } finally {
    await turn.over();
    // QEMU has its own copies: the taps are to die with it.
    for (const nic of await connecting.then(({ nics }) => nics).catch(() => [])) nic.closeDescriptors();
  }
}

const NO_NETWORK: GuestNetwork = { interfaces: [], routes: [], neighbors: [], rules: [] };

interface PodNetwork extends Pick<ConnectedVm, "nics" | "found" | "expectsDevices"> {
  readonly network: GuestNetwork;
}

async function connectPod(
  { spec, settings, ledger, timeline }: VmStart,
  deadline: Deadline,
): Promise<PodNetwork> {
  const { netns } = spec;
  if (netns === undefined) return { nics: [], found: undefined, network: NO_NETWORK, expectsDevices: false };
  const { network, hypervisor } = settings.configuration;
  const model = modelNamed(network.internetworkingModel);
  const found = await timeline.measure("discover", () => discover(netns, deadline));
  const all = planNics(found, { model, vcpus: hypervisor.qemu.defaultVcpus });
  // Devices of the node go to a QEMU that runs.
  const plans = all.filter(({ device }) => device === undefined);
  const vhostNet = !hypervisor.qemu.disableVhostNet;
  const nics = await timeline.measure("connect", () =>
    connect(found, plans, { model, ledger, vhostNet, limits: rateLimits(network) }, deadline),
  );
  return { nics, found, network: planGuest(found, plans), expectsDevices: plans.length < all.length };
}

interface Waiting extends VmStart {
  readonly turn: StartTurn;
}

/** A restored guest that is silent is given up, and one is booted in its place. */
async function startConfiguredGuest(
  start: Waiting,
  connecting: Promise<PodNetwork>,
  deadline: Deadline,
): Promise<PodVm> {
  const { log, spec, settings } = start;
  const nics = connecting.then((pod) => pod.nics);
  const starting = startGuest(start, settings.configuration, nics, deadline);
  const [vm, pod] = await Promise.all([starting, connecting]);
  const agent = lazyAgent(vm.agentSocket);
  void vm.exited.then(() => agent[Symbol.dispose]());
  const guest = { ...start, deadline, vm, agent, network: inGuest(pod.network, pod.nics, vm) };
  if (vm.restored === undefined) {
    await unlessEnded(vm, () => configureBooted(guest));
    return { vm, agent };
  }
  const answer = await unlessEnded(vm, () => configureRestored(guest)).catch((silence: unknown) => {
    if (deadline.signal.aborted) throw silence;
    return { silence };
  });
  if (!("silence" in answer)) vm.restored.trust?.();
  if ("created" in answer) return { vm, agent };
  if ("refused" in answer) throw answer.refused;
  log.warn("the restored guest does not answer: another one boots", {
    sandbox: spec.id,
    error: answer.silence,
  });
  vm.restored.distrust?.(answer.silence);
  await vm.stop(deadline);
  const { factory } = settings.configuration;
  const cold = { ...settings.configuration, factory: { ...factory, template: false } };
  return startConfiguredGuest(
    { ...start, settings: { ...settings, configuration: cold } },
    connecting,
    deadline,
  );
}

function startGuest(
  { spec, settings, ledger, timeline, log, cgroups, turn }: Waiting,
  configuration: Configuration,
  nics: Promise<readonly AttachedNic[]>,
  deadline: Deadline,
): Promise<Vm> {
  const { accelerator } = settings;
  const factory = podFactory(configuration, accelerator, {
    measure: timeline.measure,
    turn: turn.take,
    warn: (message, error) => log.warn(message, { sandbox: spec.id, error }),
  });
  const plan = vmPlan(configuration, accelerator, {
    name: spec.id,
    directory: ledger.directory,
    cgroups,
  });
  return timeline.measure("VM start", () => factory.start(plan, nics.then(toVmNics), ledger, deadline));
}

function toVmNics(nics: readonly AttachedNic[]): VmNic[] {
  return nics.map(({ plan, tapFds, vhostFds }) => ({ id: plan.id, mac: plan.mac, tapFds, vhostFds }));
}

/** A restored guest knows its NIC by another MAC. */
function inGuest(network: GuestNetwork, nics: readonly AttachedNic[], { restored }: Vm): GuestNetwork {
  const hardwareMacOf = (mac: string): string | undefined => {
    const nic = nics.find(({ plan }) => plan.mac === mac);
    return nic === undefined ? undefined : restored?.hardwareMacs.get(nic.plan.id);
  };
  return {
    ...network,
    interfaces: network.interfaces.map((one) => ({ ...one, hardwareMac: hardwareMacOf(one.mac) })),
  };
}
