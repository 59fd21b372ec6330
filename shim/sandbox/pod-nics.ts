import type { Vm } from "../../hypervisor/hypervisor.ts";
import type { AttachedNic } from "../../network/attached-nic.ts";
import { connect } from "../../network/connect.ts";
import type { DiscoveredNetwork, HostDevice } from "../../network/discover.ts";
import type { GuestInterface } from "../../network/guest-network.ts";
import { type HandedOver, handOver, withHandedOver } from "../../network/hand-over.ts";
import type { Model } from "../../network/model.ts";
import { type NicPlan, type NicPlans, planOrRefuse } from "../../network/nic-plan.ts";
import type { RateLimits } from "../../network/rate-limit.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { failpoint } from "../../sys/failpoint.ts";
import type { Ledger } from "../../sys/ledger.ts";
import { findLink, setLink } from "../../sys/netlink/link.ts";
import { openRoute } from "../../sys/netlink/socket.ts";
import { identify } from "../../sys/process.ts";
import { Code } from "../../sys/status.ts";
import type { Log } from "../log.ts";

export interface PodNicsContext {
  readonly model: Model;
  readonly ledger: Ledger;
  readonly vm: Pick<Vm, "pid" | "nics" | "hostDevices" | "restored">;
  /** What the VM started with. */
  readonly nics: readonly AttachedNic[];
  readonly vcpus: number;
  readonly vhostNet: boolean;
  /** Of a NIC that is plugged in. */
  readonly limits: RateLimits;
  readonly log: Log;
  /** Injected in tests: few machines have a device to hand over. */
  readonly handOver?: typeof handOver;
}

/** The NICs that a running VM has of its pod: taps beside links of the namespace, and devices of the node. One call at a time. */
export interface PodNics {
  /** The namespace as it was before devices were handed over. */
  whole(found: DiscoveredNetwork): DiscoveredNetwork;
  /** What the VM is to have, and which links cannot be had; what it has keeps its place. */
  plan(whole: DiscoveredNetwork): NicPlans;
  /** Plugs and unplugs until the VM has what is planned. Returns what failed: it keeps nothing from the others. */
  bringTo(whole: DiscoveredNetwork, plans: readonly NicPlan[], deadline: Deadline): Promise<unknown[]>;
  has(id: string): boolean;
  /** With a tap. */
  connected(): readonly AttachedNic[];
  /** The device whose link was found by one of the names, or had the MAC. */
  device(names: readonly string[], mac: string): HandedOver | undefined;
  /** Unplugs a device and gives it back. */
  takeOut(device: HandedOver, deadline: Deadline): Promise<void>;
  /** Limits of the link with that index, once it is plugged in; forgotten with its NIC, or the link. */
  wish(index: number, limits: Partial<RateLimits>): void;
  /** Limits the NIC of that link now, if it has one; what fails is taken back. */
  limit(index: number, limits: Partial<RateLimits>, deadline: Deadline): Promise<void>;
  /** Of each NIC that has one, by its MAC. */
  limits(): (RateLimits & { readonly mac: string })[];
  /** How the guest finds a planned NIC, where it is not by the MAC it is to have. */
  found(plan: NicPlan, mac: string): Pick<GuestInterface, "hardwareMac" | "port">;
  /** Gives all devices back, once the VM is gone. */
  giveBack(): Promise<void>;
}

export function openPodNics(context: PodNicsContext): PodNics {
  const { model, ledger, vm, log, vcpus } = context;
  const takeFromNode = context.handOver ?? handOver;
  const attached = new Map(context.nics.map((nic) => [nic.plan.id, nic]));
  const handed = new Map<string, HandedOver>();
  const wishes = new Map<number, Partial<RateLimits>>();
  const hardwareMacs = new Map(vm.restored?.hardwareMacs);

  const attach = async (whole: DiscoveredNetwork, plan: NicPlan, deadline: Deadline): Promise<void> => {
    const { vhostNet } = context;
    const limits = { ...context.limits, ...wishes.get(plan.link.index) };
    const [nic] = await connect(whole, [plan], { model, ledger, vhostNet, limits }, deadline);
    if (nic === undefined) return;
    const { tapFds, vhostFds } = nic;
    try {
      await vm.nics.attach({ id: plan.id, mac: plan.mac, tapFds, vhostFds }, deadline);
      await failpoint("network.plugged");
      attached.set(plan.id, nic);
      log.info("NIC plugged in", { nic: plan.id, link: plan.name });
    } catch (error) {
      // It may still come when QEMU was only slow.
      await vm.nics.detach(plan.id, deadline).catch(() => undefined);
      await nic.release();
      throw error;
    } finally {
      nic.closeDescriptors();
    }
  };
  const attachDevice = async (
    whole: DiscoveredNetwork,
    plan: NicPlan,
    device: HostDevice,
    deadline: Deadline,
  ): Promise<void> => {
    if (context.limits.rx + context.limits.tx > 0) throw unlimited(plan);
    const taken = await takeFromNode(whole, plan, device, { ledger, user: identify(vm.pid) }, deadline);
    const { address, group = "" } = device;
    const { id } = plan;
    try {
      await vm.hostDevices.attach({ id, address, group }, deadline);
      await failpoint("network.plugged");
      handed.set(id, taken);
      log.info("device handed over", { nic: id, link: plan.name, device: address });
    } catch (error) {
      await vm.hostDevices.detach(id, deadline).catch(() => undefined);
      await taken.release();
      throw error;
    }
  };
  const detach = async (nic: AttachedNic, deadline: Deadline): Promise<void> => {
    const { id, name } = nic.plan;
    await vm.nics.detach(id, deadline);
    await failpoint("network.unplugged");
    hardwareMacs.delete(id);
    attached.delete(id);
    wishes.delete(nic.plan.link.index);
    await nic.release();
    log.info("NIC unplugged", { nic: id, link: name });
  };
  const takeOut = async (device: HandedOver, deadline: Deadline): Promise<void> => {
    const { id, name } = device.plan;
    await vm.hostDevices.detach(id, deadline);
    await failpoint("network.unplugged");
    handed.delete(id);
    await device.release();
    log.info("device given back", { nic: id, link: name, device: device.device.address });
  };

  const ofLink = (index: number): AttachedNic | undefined =>
    [...attached.values()].find(({ plan: { link } }) => link.index === index);

  return {
    whole: (found) => withHandedOver(found, [...handed.values()]),
    plan(whole) {
      const existing = [...attached.values(), ...handed.values()].map((nic) => nic.plan);
      return planOrRefuse(whole, { model, vcpus, existing });
    },
    async bringTo(whole, plans, deadline) {
      const kept = new Set(plans.map(({ id }) => id));
      const present = new Set(whole.links.map(({ link }) => link.index));
      for (const index of [...wishes.keys()]) if (!present.has(index)) wishes.delete(index);
      const failures: unknown[] = [];
      const gone = [...attached.values()].filter(({ plan }) => !kept.has(plan.id));
      // One that the guest does not let go leaves time for the others, and for telling the guest.
      const shareMs = deadline.remainingMs() / 2 / gone.length;
      for (const nic of gone) {
        const share = deadline.within(shareMs, `unplug ${nic.plan.name}`);
        await detach(nic, share).catch((error) => failures.push(error));
      }
      for (const plan of plans) {
        const nic = attached.get(plan.id);
        if (nic !== undefined) {
          await adjust(whole.netns, nic, plan, deadline).then(
            (adjusted) => attached.set(plan.id, adjusted),
            (error) => failures.push(error),
          );
        }
        if (nic !== undefined || handed.has(plan.id)) continue;
        const plugging =
          plan.device === undefined
            ? attach(whole, plan, deadline)
            : attachDevice(whole, plan, plan.device, deadline);
        await plugging.catch((error) => failures.push(error));
      }
      return failures;
    },
    has: (id) => attached.has(id) || handed.has(id),
    connected: () => [...attached.values()],
    device: (names, mac) =>
      [...handed.values()].find(({ plan }) => names.includes(plan.name)) ??
      [...handed.values()].find(({ plan }) => mac !== "" && plan.mac === mac),
    takeOut,
    wish: (index, limits) => wishes.set(index, { ...wishes.get(index), ...limits }),
    async limit(index, limits, deadline) {
      const nic = ofLink(index);
      if (nic === undefined) return;
      const before = { ...nic.limiter.limits };
      try {
        await nic.limiter.set(limits, deadline);
      } catch (error) {
        wishes.set(index, before);
        // Why it failed is what the caller needs.
        await nic.limiter.set(before, deadline).catch(() => undefined);
        throw error;
      }
    },
    limits: () =>
      [...attached.values()]
        .map(({ plan, limiter }) => ({ ...limiter.limits, mac: plan.link.mac }))
        .filter(({ rx, tx }) => rx + tx > 0),
    found({ id, mac: ownMac }, mac) {
      // A virtual function may come with any MAC.
      if (handed.has(id)) return { port: vm.hostDevices.portOf(id) };
      const hardwareMac = hardwareMacs.get(id) ?? ownMac;
      return { hardwareMac: hardwareMac === mac ? undefined : hardwareMac };
    },
    async giveBack() {
      for (const [id, device] of [...handed]) {
        handed.delete(id);
        await device.release();
      }
    },
  };
}

/** The tap has the MTU of its link: frames that are too long for it would be lost without a word. */
async function adjust(
  netns: string,
  nic: AttachedNic,
  plan: NicPlan,
  deadline: Deadline,
): Promise<AttachedNic> {
  if (plan.mtu !== nic.plan.mtu) {
    using socket = openRoute({ netns });
    const tap = await findLink(socket, { name: nic.tapName }, deadline);
    if (tap !== undefined) await setLink(socket, tap, { mtu: plan.mtu }, deadline);
    await nic.limiter.set(nic.limiter.limits, deadline, plan.mtu);
  }
  return { ...nic, plan };
}

function unlimited({ name }: NicPlan): TapirError {
  return new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "limit",
    object: `the rate of ${name}`,
    cause: "it is a device that the VM drives by itself",
    hint: "limit it on the node, as with ip link set <device> vf <number> max_tx_rate, and set no rate for this pod",
  });
}
