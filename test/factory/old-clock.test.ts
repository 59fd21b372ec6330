// Requires root, QEMU and what the set-up puts below build/.
// A guest that was saved when its clock was days behind, restored below containerd.
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { Vm } from "../../hypervisor/hypervisor.ts";
import type { GetGuestDetailsResponse } from "../../proto/gen/tapir/agent/v1/agent.ts";
import { connectAgent } from "../../shim/agent-client.ts";
import { REHEARSAL, rehearsalNetwork } from "../../shim/factory/rehearsal.ts";
import { greet } from "../../shim/greet.ts";
import { guestRequest } from "../../shim/sandbox/guest-request.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { openLedger } from "../../sys/ledger.ts";
import { useInventory } from "../harness/fixture.ts";
import { assertClock } from "../harness/guest-clock.ts";
import { restoreGuest } from "../harness/restored-guest.ts";

const MARK = "tapir-old-clock-";
const SECONDS_PER_DAY = 24 * 60 * 60;
const DAYS = 5;
const NANOSECONDS_BACK = BigInt(DAYS * SECONDS_PER_DAY) * 1_000_000_000n;
const NETWORK = rehearsalNetwork(undefined);

const BUILD_MS = 120_000;

const soon = (): Deadline => deadlineIn(90_000, "test the clock");

/** Over a connection of its own: the agent's port serves one at a time. */
async function detailsOf({ agentSocket }: Vm): Promise<GetGuestDetailsResponse> {
  using agent = connectAgent(agentSocket);
  return await agent.getGuestDetails(soon());
}

useInventory(test, MARK, async () => undefined);

test("a clone of a guest that was saved days ago has the right time", async (t) => {
  const directory = mkdtempSync(`/dev/shm/${MARK}`);
  const ledger = openLedger(join(directory, "state"));
  t.teardown(async () => {
    await ledger.unwind();
    rmSync(directory, { recursive: true });
  });
  const wanted = { name: "old-clock", store: join(directory, "factory"), vcpus: 1, rootPorts: 1 };
  const vm = await restoreGuest(
    { ...wanted, nanosecondsBehind: NANOSECONDS_BACK },
    ledger,
    deadlineIn(BUILD_MS, "save and restore a guest"),
  );
  const before = Number((await detailsOf(vm)).unixTimeNanoseconds / 1_000_000n);
  const behindDays = (Date.now() - before) / 1000 / SECONDS_PER_DAY;
  t.true(Math.abs(behindDays - DAYS) < 0.1, `before it is anybody's it is ${behindDays} days behind`);
  const request = guestRequest(REHEARSAL, NETWORK, 10_000, vm.restored.clock);
  t.true("created" in (await greet(vm.agentSocket, request, soon())));
  using agent = connectAgent(vm.agentSocket);
  await assertClock(t, () => agent.getGuestDetails(soon()));
});
