import type { Vm } from "../../hypervisor/hypervisor.ts";
import type { AttachedNic } from "../../network/attached-nic.ts";
import { addLink, changeLink, type LinkWish, removeLink } from "../../network/change-link.ts";
import { changeNeighbors, changeRoutes } from "../../network/change-route.ts";
import { networkDifference } from "../../network/difference.ts";
import { type DiscoveredNetwork, discover } from "../../network/discover.ts";
import type { Refusal } from "../../network/endpoint.ts";
import type { GuestNeighbor, GuestNetwork, GuestRoute } from "../../network/guest-network.ts";
import { planGuest } from "../../network/guest-plan.ts";
import { modelNamed } from "../../network/models.ts";
import { type Monitor, monitorNetns } from "../../network/monitor.ts";
import type { NicPlan } from "../../network/nic-plan.ts";
import type { RateLimits } from "../../network/rate-limit.ts";
import { probeAddresses } from "../../network/trace/probe.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { failpoint } from "../../sys/failpoint.ts";
import type { Ledger } from "../../sys/ledger.ts";
import { NUD } from "../../sys/netlink/records.ts";
import { Code } from "../../sys/status.ts";
import type { Agent } from "../agent-client.ts";
import type { Log } from "../log.ts";
import { openPodNics, type PodNics } from "./pod-nics.ts";
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
  /** Of each NIC that has one, by its MAC. */
  limits(): readonly (RateLimits & { readonly mac: string })[];
  /** Where packets between the node and the guest stop: every hop of each NIC, counted twice. */
  trace(windowMs: number, deadline: Deadline): Promise<TracedPath[]>;
  /** From now on every change of the namespace reaches the guest by itself. */
  follow(): void;
  /** Gives devices of the node back. To be called once the VM is gone, before anybody hears of it: CNI looks for them then. */
  giveBack(): Promise<void>;
  /** Ends what runs and refuses the rest; the NICs are the ledger's. */
  close(): Promise<void>;
}

/** A link with the limits of its NIC; what is undefined stays. */
export interface InterfaceWish extends LinkWish {
  readonly limits: Partial<RateLimits>;
}

export interface PodNetworkContext {
  /** Undefined for a pod without one: it has no network, and none can be added. */
  readonly netns: string | undefined;
  readonly settings: Settings;
  readonly ledger: Ledger;
  readonly vm: Pick<Vm, "pid" | "nics" | "hostDevices" | "restored">;
  readonly agent: Agent;
  /** The network that the guest was configured with; undefined: not known, and it is told. */
  readonly found?: DiscoveredNetwork | undefined;
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
  const nics = openPodNics({
    ...{ model, ledger, vm, log, nics: context.nics, limits: rateLimits(configured) },
    ...{ vcpus: hypervisor.qemu.defaultVcpus, vhostNet: !hypervisor.qemu.disableVhostNet },
  });
  const closing = new AbortController();
  /** What the guest was last told; undefined while it may have something else. */
  let told = context.found && textOf(wantedNetwork(context.found, plansOf(context.nics), nics));
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
  const tell = async (network: GuestNetwork, deadline: Deadline): Promise<void> => {
    const text = textOf(network);
    if (text === told) return;
    told = undefined;
    await agent.updateNetwork({ ...network, linkTimeoutMilliseconds: 0 }, deadline);
    told = text;
  };
  /** Returns the links that cannot have a NIC: they keep nothing from the others. */
  const synchronize = async (place: string, deadline: Deadline): Promise<readonly Refusal[]> => {
    const found = nics.whole(await discover(place, deadline));
    const { plans, refusals } = nics.plan(found);
    const failures = await nics.bringTo(found, plans, deadline);
    const there = plans.filter(({ id }) => nics.has(id));
    await tell(wantedNetwork(found, there, nics), deadline).catch((error: unknown) => failures.push(error));
    throwAll(failures);
    return refusals;
  };
  const follow = async (place: string, deadline: Deadline): Promise<void> => {
    throwAll((await synchronize(place, deadline)).map(({ error }) => error));
  };
  /** An operator who changes something sees the guest equal afterwards, also where it was changed from inside. */
  const forget = (): void => {
    told = undefined;
  };
  const changing = (
    caller: Deadline,
    change: (place: string, deadline: Deadline) => Promise<void>,
  ): Promise<void> =>
    inTurn(caller, async (place, deadline) => {
      await change(place, deadline);
      forget();
      await failpoint("network.changed");
      // What was refused before, and will be after it, is told by the monitor and by diff.
      await synchronize(place, deadline);
    });

  const changingLink = (caller: Deadline, wish: InterfaceWish, change: typeof addLink): Promise<void> =>
    inTurn(caller, async (place, deadline) => {
      if (nics.device(namesIn(wish), macIn(wish)) !== undefined) throw driven(wish);
      const { index, takeBack } = await change(place, wish, deadline);
      // From now on whoever plugs it in knows: this attempt may fail.
      nics.wish(index, wish.limits);
      forget();
      await failpoint("network.changed");
      const refusals = await synchronize(place, deadline);
      try {
        throwAll(refusals.filter(({ link }) => link.index === index).map(({ error }) => error));
        await nics.limit(index, wish.limits, deadline);
      } catch (error) {
        await takeBack();
        await synchronize(place, deadline).catch((failure: unknown) => {
          log.warn("the guest does not have the link as it was yet", { index, error: failure });
        });
        throw error;
      }
    });

  return {
    sync: (caller) => inTurn(caller, follow),
    difference: (caller) =>
      inTurn(caller, async (place, deadline) => {
        const found = nics.whole(await discover(place, deadline));
        const { plans, refusals } = nics.plan(found);
        const wanted = planGuest(found, plans);
        const lasting = { ...wanted, neighbors: wanted.neighbors.filter(isPermanent) };
        const refused = refusals.map(({ error }) => error.message);
        return [...refused, ...networkDifference(lasting, await readGuest(agent, deadline))];
      }),
    limits: nics.limits,
    trace: (windowMs, caller) =>
      inTurn(caller, async (place, deadline) => {
        const connected = nics.connected();
        const probes = probeAddresses(
          await discover(place, deadline),
          connected.map((nic) => nic.plan),
        );
        return traceNetwork({ netns: place, model, nics: connected, vm, agent, probes, windowMs }, deadline);
      }),
    async addInterface(wish, caller) {
      if (model.serves.length === 0) throw nothingAttached(wish, model.name);
      await changingLink(caller, wish, addLink);
    },
    updateInterface: (wish, caller) => changingLink(caller, wish, changeLink),
    removeInterface: (wish, caller) =>
      changing(caller, async (place, deadline) => {
        const device = nics.device(namesIn(wish), macIn(wish));
        if (device !== undefined) await nics.takeOut(device, deadline);
        await removeLink(place, wish, deadline);
      }),
    updateRoutes: (routes, caller) =>
      changing(caller, (place, deadline) => changeRoutes(place, routes, deadline)),
    addNeighbors: (entries, caller) =>
      changing(caller, (place, deadline) => changeNeighbors(place, entries, deadline)),
    follow() {
      if (netns === undefined || model.serves.length === 0) return;
      const { requestMs } = context;
      monitor ??= monitorNetns(
        netns,
        (stop) => inTurn(deadlineIn(requestMs, "follow the pod's network", stop), follow),
        (error) => log.warn("the guest does not have the pod's network yet; trying again", { error }),
      );
    },
    giveBack: nics.giveBack,
    async close() {
      closing.abort(closed());
      await monitor?.close();
      await turn;
    },
  };
}

/** What the guest is to have; entries that the namespace learned by itself change too often to be told. */
function wantedNetwork(found: DiscoveredNetwork, plans: readonly NicPlan[], nics: PodNics): GuestNetwork {
  const network: GuestNetwork = planGuest(found, plans);
  const interfaces = network.interfaces.map((one) => {
    const plan = plans.find(({ name }) => name === one.name);
    return plan === undefined ? one : { ...one, ...nics.found(plan, one.mac) };
  });
  return { ...network, interfaces, neighbors: network.neighbors.filter(isPermanent) };
}

const textOf = (network: GuestNetwork): string => JSON.stringify(network);
const plansOf = (nics: readonly AttachedNic[]): NicPlan[] => nics.map(({ plan }) => plan);

/** Throws what there is, if anything. */
function throwAll(failures: readonly unknown[]): void {
  if (failures.length > 0) throw failures.length === 1 ? failures[0] : new AggregateError(failures);
}

/** What an operator may have called the link so far. */
const namesIn = ({ device, name }: LinkWish): string[] => [device || name];
/** By which it may be found: beside the name that it has, the MAC is one that it is to get. */
const macIn = ({ device, mac }: LinkWish): string => (device === "" ? mac : "");

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

function nothingAttached({ device, name, mac }: LinkWish, model: string): TapirError {
  return new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "attach",
    object: `link ${device || name || mac}`,
    cause: `the pod has internetworking_model "${model}", which gives its guest no NIC`,
    hint: 'start the pod with internetworking_model "tcfilter" or "macvtap"',
  });
}

function driven({ device, name, mac }: LinkWish): TapirError {
  return new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "change",
    object: `link ${device || name || mac}`,
    cause: "it is the link of a device that the VM has",
    hint: "take it out with del-iface, and add it as it is to be with add-iface",
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
