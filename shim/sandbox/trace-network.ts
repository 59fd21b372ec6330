import { setTimeout as sleep } from "node:timers/promises";
import type { Vm } from "../../hypervisor/hypervisor.ts";
import type { AttachedNic } from "../../network/attached-nic.ts";
import type { Model } from "../../network/model.ts";
import { brokenHop, type Hop } from "../../network/trace/hop.ts";
import { hostHops } from "../../network/trace/host-hops.ts";
import { compareHops, judge, type TracedHop, type Verdict } from "../../network/trace/verdict.ts";
import type { InterfaceCounters } from "../../proto/gen/tapir/agent/v1/agent.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { reasonOf } from "../../sys/error.ts";
import type { Agent } from "../agent-client.ts";

/** A guest that does not answer within this is part of the diagnosis. */
const GUEST_MS = 3000;
/** The last answer is on its way through the hops. */
const SETTLE_MS = 50;

export interface TraceContext {
  readonly netns: string;
  readonly model: Pick<Model, "redirects">;
  readonly nics: readonly AttachedNic[];
  readonly vm: Pick<Vm, "nics">;
  readonly agent: Agent;
  /** What the guest pings meanwhile, so that there is something to count. */
  readonly probes: readonly string[];
  readonly windowMs: number;
}

export interface TracedPath {
  readonly link: string;
  readonly hops: readonly TracedHop[];
  readonly toGuest: Verdict;
  readonly fromGuest: Verdict;
}

/** Counts the packets at every hop of each NIC's path twice, and says where they stop. */
export async function traceNetwork(context: TraceContext, deadline: Deadline): Promise<TracedPath[]> {
  const before = await countAll(context, deadline);
  await Promise.all([
    sleep(context.windowMs, undefined, { signal: deadline.signal }),
    probe(context, deadline),
  ]);
  await sleep(SETTLE_MS, undefined, { signal: deadline.signal });
  const after = await countAll(context, deadline);
  return context.nics.map((nic, at) => {
    const hops = compareHops(before[at] ?? [], after[at] ?? []);
    return {
      link: nic.plan.name,
      hops,
      toGuest: judge(hops, "toGuest"),
      fromGuest: judge(hops, "fromGuest"),
    };
  });
}

/** Whether anybody answers is not the question: an echo request, or the question for its MAC, leaves in any case. */
async function probe({ agent, probes, windowMs }: TraceContext, deadline: Deadline): Promise<void> {
  const limit = deadline.within(windowMs, "ping from the guest");
  const request = { timeoutMilliseconds: windowMs };
  await Promise.allSettled(probes.map((address) => agent.ping({ ...request, address }, limit)));
}

async function countAll(context: TraceContext, deadline: Deadline): Promise<Hop[][]> {
  const { netns, nics, model } = context;
  const counted = await guestCounters(context.agent, deadline);
  return Promise.all(
    nics.map(async (nic) => [
      ...(await hostHops(netns, nic, model, deadline)),
      await queueHop(context, nic, deadline),
      guestHop(nic.plan.name, counted),
    ]),
  );
}

/** What the guest says, or why it says nothing. */
async function guestCounters(agent: Agent, deadline: Deadline): Promise<InterfaceCounters[] | string> {
  try {
    const limit = deadline.within(GUEST_MS, "ask the guest for its counters");
    return (await agent.listCounters(limit)).interfaces;
  } catch (error) {
    return `the guest does not answer: ${reasonOf(error)}`;
  }
}

async function queueHop({ vm }: TraceContext, nic: AttachedNic, deadline: Deadline): Promise<Hop> {
  const { id } = nic.plan;
  try {
    const progress = await vm.nics.queueProgress({ ...nic, id }, deadline);
    const side = (packets: number | undefined) => ({ packets });
    return {
      name: "virtio queue",
      object: `${id}, ${nic.plan.queues === 1 ? "one pair" : `${nic.plan.queues} pairs`}`,
      toGuest: side(progress?.received),
      fromGuest: side(progress?.sent),
    };
  } catch (error) {
    return brokenHop("virtio queue", id, reasonOf(error));
  }
}

function guestHop(name: string, counted: readonly InterfaceCounters[] | string): Hop {
  if (typeof counted === "string") return brokenHop("guest NIC", name, counted);
  const nic = counted.find((one) => one.name === name);
  if (nic === undefined) return brokenHop("guest NIC", name, "the guest has none");
  const fault = nic.up ? (nic.carrier ? undefined : "it has no carrier") : "it is down in the guest";
  return {
    name: "guest NIC",
    object: name,
    toGuest: { fault, packets: Number(nic.receivedPackets), dropped: Number(nic.receivedDropped) },
    fromGuest: { fault, packets: Number(nic.sentPackets), dropped: Number(nic.sentDropped) },
  };
}
