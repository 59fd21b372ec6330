import { setTimeout as sleep } from "node:timers/promises";
import type { PrepareGuest } from "../../hypervisor/factory/build.ts";
import type { SameMoment } from "../../hypervisor/factory/stop-guest.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { type Agent, connectAgent } from "../agent-client.ts";
import { greet } from "../greet.ts";
import { guestRequest } from "../sandbox/guest-request.ts";
import { REHEARSAL, rehearsalNetwork } from "./rehearsal.ts";

/** How often a pod's start is rehearsed before the last time: after that the agent compiles next to nothing any more. */
const ROUNDS = { before: 3, after: 2 } as const;
/** Free memory that is cleared before saving: more than a boot touches, and never all of a large guest. */
const WIPE_BYTES = 512n << 20n;
/** Nothing tells when the agent has let go of its last connection; cut off in the middle, a clone would do the rest. */
const SETTLE_MS = 200;

/** Times a restored guest rehearses alone: after that QEMU translates next to nothing any more. */
const CLONE_ROUNDS = 2;

/**
 * Rehearses the start of a pod in a guest that is to be saved, over connections that come and go: what runs for the first time
 * in a guest is slow, most of all under emulation, and a restored guest has run it before. What is left of it is nobody's.
 */
export const prepareGuest: PrepareGuest = async (guest, deadline) => {
  const own = guest.nicMac ?? "";
  const wipe =
    (collect: boolean) =>
    async (agent: Agent): Promise<void> => {
      await agent.prepareTemplate({ wipeBytes: WIPE_BYTES, collect }, deadline);
    };
  for (let round = 0; round < ROUNDS.before; round += 1) await rehearse(guest, REHEARSAL.mac, own, deadline);
  // What a start needs of what is collected now, the rounds after it bring back.
  await rehearse(guest, REHEARSAL.mac, own, deadline, wipe(true));
  for (let round = 0; round < ROUNDS.after; round += 1) await rehearse(guest, REHEARSAL.mac, own, deadline);
  // The NIC gets its own MAC back: by it the next pod will find it. What is wiped now is what those rounds have used and left.
  return lastRound(guest, own, REHEARSAL.mac, deadline, wipe(false));
};

/** The same in a guest that was restored, for the emulator's sake. Its NIC does not stay. */
export const rehearseClone: PrepareGuest = async (guest, deadline) => {
  const own = guest.nicMac ?? "";
  for (let round = 1; round < CLONE_ROUNDS; round += 1) await rehearse(guest, own, own, deadline);
  return lastRound(guest, own, own, deadline);
};

type RehearsingGuest = Parameters<PrepareGuest>[0];

async function lastRound(
  guest: RehearsingGuest,
  mac: string,
  hardwareMac: string,
  deadline: Deadline,
  before?: (agent: Agent) => Promise<void>,
): Promise<SameMoment> {
  let moment: SameMoment | undefined;
  await rehearse(guest, mac, hardwareMac, deadline, async (agent) => {
    await before?.(agent);
    moment = await sameMoment(agent, deadline);
  });
  await sleep(SETTLE_MS, undefined, { signal: deadline.signal });
  return moment ?? { guestNanoseconds: 0n, hostNanoseconds: 0n };
}

/** As a pod's start: a greeting, then gRPC. */
async function rehearse(
  { agentSocket, nicMac }: RehearsingGuest,
  mac: string,
  hardwareMac: string,
  deadline: Deadline,
  more?: (agent: Agent) => Promise<void>,
): Promise<void> {
  const network = rehearsalNetwork(nicMac === undefined ? undefined : { mac, hardwareMac });
  const request = guestRequest(REHEARSAL, network, deadline.remainingMs());
  const answer = await greet(agentSocket, request, deadline);
  if ("refused" in answer) throw answer.refused;
  await withAgent(agentSocket, deadline, async (agent) => {
    await agent.destroySandbox({ powerOff: false }, deadline);
    await more?.(agent);
  });
}

async function withAgent(
  agentSocket: string,
  deadline: Deadline,
  work: (agent: Agent) => Promise<void>,
): Promise<void> {
  using agent = connectAgent(agentSocket);
  await agent.ready(deadline);
  await work(agent);
}

const QUESTIONS = 5;
/** All clones have the error: on a busy machine it is asked until an answer comes quickly. */
const MOST_QUESTIONS = 60;
const QUICK_NS = 20_000_000n;

/** Of several questions for the guest's clock the one that was answered fastest: half its way is the error at most. */
async function sameMoment(agent: Agent, deadline: Deadline): Promise<SameMoment> {
  let best: { readonly took: bigint; readonly moment: SameMoment } | undefined;
  const isQuick = (): boolean => best !== undefined && best.took < QUICK_NS;
  for (let attempt = 0; attempt < QUESTIONS || (attempt < MOST_QUESTIONS && !isQuick()); attempt += 1) {
    const asked = process.hrtime.bigint();
    const { monotonicNanoseconds } = await agent.check(deadline);
    const took = process.hrtime.bigint() - asked;
    if (best !== undefined && best.took <= took) continue;
    best = {
      took,
      moment: { guestNanoseconds: monotonicNanoseconds, hostNanoseconds: asked + took / 2n },
    };
  }
  return best?.moment ?? { guestNanoseconds: 0n, hostNanoseconds: 0n };
}
