import type { RestoredGuest, Vm } from "../../hypervisor/hypervisor.ts";
import type { AttachedNic } from "../../network/attached-nic.ts";
import { addLink, changeLink, type LinkWish, removeLink } from "../../network/change-link.ts";
import { changeNeighbors, changeRoutes } from "../../network/change-route.ts";
import { connect } from "../../network/connect.ts";
import { networkDifference } from "../../network/difference.ts";
import { type DiscoveredNetwork, discover } from "../../network/discover.ts";
import type { GuestNeighbor, GuestNetwork, GuestRoute } from "../../network/guest-network.ts";
import { planGuest } from "../../network/guest-plan.ts";
import { modelNamed } from "../../network/models.ts";
import { type Monitor, monitorNetns } from "../../network/monitor.ts";
import { type NicPlan, planNics } from "../../network/nic-plan.ts";
import { probeAddresses } from "../../network/trace/probe.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { failpoint } from "../../sys/failpoint.ts";
import type { Ledger } from "../../sys/ledger.ts";
import { findLink, setLink } from "../../sys/netlink/link.ts";
import { NUD } from "../../sys/netlink/records.ts";
import { openRoute } from "../../sys/netlink/socket.ts";
import { Code } from "../../sys/status.ts";
import type { Agent } from "../agent-client.ts";
import type { Log } from "../log.ts";
import { rateLimits, type Settings } from "./settings.ts";
import { type TracedPath, traceNetwork } from "./trace-network.ts";

/**
 * The network of a running pod. The namespace says what it is; every change is made there, and the guest and its NICs are
 * brought to that. One thing at a time.
 */
export interface PodNetwork {
  /** Reads the namespace, plugs and unplugs NICs, and configures the guest, as far as something differs. */
  sync(deadline: Deadline): Promise<void>;
  /** Namespace against guest, a line each; empty when they are equal. */
  difference(deadline: Deadline): Promise<string[]>;
  addInterface(wish: InterfaceWish, deadline: Deadline): Promise<void>;
  updateInterface(wish: InterfaceWish, deadline: Deadline): Promise<void>;
  removeInterface(wish: LinkWish, deadline: Deadline): Promise<void>;
  updateRoutes(routes: readonly GuestRoute[], deadline: Deadline): Promise<void>;
  addNeighbors(neighbors: readonly GuestNeighbor[], deadline: Deadline): Promise<void>;
  /** Where packets between the node and the guest stop: every hop of each NIC, counted twice. */
  trace(windowMs: number, deadline: Deadline): Promise<TracedPath[]>;
  /** From now on every change of the namespace reaches the guest by itself. */
  follow(): void;
  /** Ends what runs and refuses the rest; the NICs are the ledger's. */
  close(): Promise<void>;
}

/** A link with the limits of its NIC; what is undefined stays. */
export interface InterfaceWish extends LinkWish {
  readonly limits: { readonly rx?: number; readonly tx?: number };
}

export interface PodNetworkContext {
  /** Undefined for a pod without one: it has no network, and none can be added. */
  readonly netns: string | undefined;
  readonly settings: Settings;
  readonly ledger: Ledger;
  readonly vm: Pick<Vm, "nics" | "restored">;
  readonly agent: Agent;
  /** What the VM started with. */
  readonly nics: readonly AttachedNic[];
  /** How long one sync by the monitor may take, in milliseconds. */
  readonly requestMs: number;
  readonly log: Log;
}

export function openPodNetwork(context: PodNetworkContext): PodNetwork {
  const { netns, settings, ledger, vm, agent, log } = context;
  const { network: configured, hypervisor } = settings.configuration;
  const model = modelNamed(configured.internetworkingModel);
  const attached = new Map(context.nics.map((nic) => [nic.plan.id, nic]));
  const hardwareMacs = new Map(vm.restored?.hardwareMacs);
  const closing = new AbortController();
  /** What the guest was last told; undefined while it may have something else. */
  let told: string | undefined;
  let turn: Promise<unknown> = Promise.resolve();
  let monitor: Monitor | undefined;

  const inTurn = <T>(
    caller: Deadline,
    job: (place: string, deadline: Deadline) => Promise<T>,
  ): Promise<T> => {
    const mine = turn.then(() => {
      closing.signal.throwIfAborted();
      if (netns === undefined) throw withoutNetwork();
      // The pod's end ends it too.
      const signal = AbortSignal.any([caller.signal, closing.signal]);
      return job(netns, deadlineIn(caller.remainingMs(), caller.job, signal));
    });
    turn = mine.catch(() => undefined);
    return mine;
  };
  const plan = (found: DiscoveredNetwork): NicPlan[] => {
    const existing = [...attached.values()].map((nic) => nic.plan);
    return planNics(found, { model, vcpus: hypervisor.qemu.defaultVcpus, existing });
  };
  const attach = async (found: DiscoveredNetwork, wanted: NicPlan, deadline: Deadline): Promise<void> => {
    const vhostNet = !hypervisor.qemu.disableVhostNet;
    const limits = rateLimits(configured);
    const [nic] = await connect(found, [wanted], { model, ledger, vhostNet, limits }, deadline);
    if (nic === undefined) return;
    const { tapFds, vhostFds } = nic;
    try {
      await vm.nics.attach({ id: wanted.id, mac: wanted.mac, tapFds, vhostFds }, deadline);
      await failpoint("network.plugged");
      attached.set(wanted.id, nic);
      log.info("NIC plugged in", { nic: wanted.id, link: wanted.name });
    } catch (error) {
      // It may still come when QEMU was only slow.
      await vm.nics.detach(wanted.id, deadline).catch(() => undefined);
      await nic.release();
      throw error;
    } finally {
      nic.closeDescriptors();
    }
  };
  const detach = async (nic: AttachedNic, deadline: Deadline): Promise<void> => {
    const { id, name } = nic.plan;
    await vm.nics.detach(id, deadline);
    await failpoint("network.unplugged");
    hardwareMacs.delete(id);
    attached.delete(id);
    await nic.release();
    log.info("NIC unplugged", { nic: id, link: name });
  };
  const tell = async (network: GuestNetwork, deadline: Deadline): Promise<void> => {
    const text = JSON.stringify(network);
    if (text === told) return;
    told = undefined;
    await agent.updateNetwork({ ...network, linkTimeoutMilliseconds: 0 }, deadline);
    told = text;
  };
  const synchronize = async (place: string, deadline: Deadline): Promise<void> => {
    const found = await discover(place, deadline);
    const plans = plan(found);
    const kept = new Set(plans.map(({ id }) => id));
    for (const nic of [...attached.values()]) if (!kept.has(nic.plan.id)) await detach(nic, deadline);
    const failures: unknown[] = [];
    for (const wanted of plans) {
      const nic = attached.get(wanted.id);
      // One that cannot be plugged in keeps nothing from the others.
      if (nic === undefined) await attach(found, wanted, deadline).catch((error) => failures.push(error));
      else attached.set(wanted.id, await adjust(place, nic, wanted, deadline));
    }
    const there = plans.filter(({ id }) => attached.has(id));
    await tell(wantedNetwork(found, there, hardwareMacs), deadline);
    if (failures.length > 0) throw failures.length === 1 ? failures[0] : new AggregateError(failures);
  };
  const changing = (
    caller: Deadline,
    change: (place: string, deadline: Deadline) => Promise<void>,
  ): Promise<void> =>
    inTurn(caller, async (place, deadline) => {
      await change(place, deadline);
      await failpoint("network.changed");
      await synchronize(place, deadline);
    });

  const changingLink = (caller: Deadline, wish: InterfaceWish, change: typeof addLink): Promise<void> =>
    inTurn(caller, async (place, deadline) => {
      const index = await change(place, wish, deadline);
      await failpoint("network.changed");
      await synchronize(place, deadline);
      const nic = [...attached.values()].find(({ plan: { link } }) => link.index === index);
      await nic?.limiter.set(wish.limits, deadline);
    });

  return {
    sync: (caller) => inTurn(caller, synchronize),
    difference: (caller) =>
      inTurn(caller, async (place, deadline) => {
        const found = await discover(place, deadline);
        const wanted = planGuest(found, plan(found));
        const lasting = { ...wanted, neighbors: wanted.neighbors.filter(isPermanent) };
        return networkDifference(lasting, await readGuest(agent, deadline));
      }),
    trace: (windowMs, caller) =>
      inTurn(caller, async (place, deadline) => {
        const nics = [...attached.values()];
        const probes = probeAddresses(
          await discover(place, deadline),
          nics.map((nic) => nic.plan),
        );
        return traceNetwork({ netns: place, model, nics, vm, agent, probes, windowMs }, deadline);
      }),
    addInterface: (wish, caller) => changingLink(caller, wish, addLink),
    updateInterface: (wish, caller) => changingLink(caller, wish, changeLink),
    removeInterface: (wish, caller) =>
      changing(caller, (place, deadline) => removeLink(place, wish, deadline)),
    updateRoutes: (routes, caller) =>
      changing(caller, (place, deadline) => changeRoutes(place, routes, deadline)),
    addNeighbors: (entries, caller) =>
      changing(caller, (place, deadline) => changeNeighbors(place, entries, deadline)),
    follow() {
      if (netns === undefined || model.serves.length === 0) return;
      const { requestMs } = context;
      monitor ??= monitorNetns(
        netns,
        (stop) => inTurn(deadlineIn(requestMs, "follow the pod's network", stop), synchronize),
        (error) => log.warn("the guest does not have the pod's network yet; trying again", { error }),
      );
    },
    async close() {
      closing.abort(closed());
      await monitor?.close();
      await turn;
    },
  };
}

/** The tap has the MTU of its link: frames that are too long for it would be lost without a word. */
async function adjust(
  place: string,
  nic: AttachedNic,
  wanted: NicPlan,
  deadline: Deadline,
): Promise<AttachedNic> {
  if (wanted.mtu !== nic.plan.mtu) {
    using socket = openRoute({ netns: place });
    const tap = await findLink(socket, { name: nic.tapName }, deadline);
    if (tap !== undefined) await setLink(socket, tap, { mtu: wanted.mtu }, deadline);
    await nic.limiter.set(nic.limiter.limits, deadline, wanted.mtu);
  }
  return { ...nic, plan: wanted };
}

/** What the guest is to have; entries that the namespace learned by itself change too often to be told. */
function wantedNetwork(
  found: DiscoveredNetwork,
  plans: readonly NicPlan[],
  hardwareMacs: RestoredGuest["hardwareMacs"],
) {
  const network: GuestNetwork = planGuest(found, plans);
  const interfaces = network.interfaces.map((one) => {
    const nic = plans.find(({ name }) => name === one.name);
    const hardwareMac = nic === undefined ? one.mac : (hardwareMacs.get(nic.id) ?? nic.mac);
    return { ...one, hardwareMac: hardwareMac === one.mac ? undefined : hardwareMac };
  });
  return {
    ...network,
    interfaces,
    neighbors: network.neighbors.filter(isPermanent),
  };
}

const isPermanent = ({ state }: GuestNeighbor): boolean => state === NUD.PERMANENT;

async function readGuest(agent: Agent, deadline: Deadline): Promise<GuestNetwork> {
  const [{ interfaces }, { routes }, { rules }, { neighbors }] = await Promise.all([
    agent.listInterfaces(deadline),
    agent.listRoutes(deadline),
    agent.listRules(deadline),
    agent.listNeighbors(deadline),
  ]);
  return { interfaces, routes, rules, neighbors };
}

function withoutNetwork(): TapirError {
  const cause = "it has no network namespace of its own";
  return new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "change",
    object: "the pod's network",
    cause,
  });
}

function closed(): TapirError {
  return new TapirError({
    code: Code.CANCELLED,
    operation: "use",
    object: "the pod's network",
    cause: "the pod ends",
  });
}
