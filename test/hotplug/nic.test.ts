// Requires root, /dev/net/tun, qemu-system-x86_64, and the guest image below build/.
// NICs that come and go while a real guest runs, below containerd: hypervisor and agent alone.
import { spawn } from "node:child_process";
import { once } from "node:events";
import test from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { codeOf } from "../../sys/error.ts";
import { inNetns } from "../../sys/netns.ts";
import { Code } from "../../sys/status.ts";
import { useInventory } from "../harness/fixture.ts";
import { runOk } from "../harness/run.ts";
import { type HotplugGuest, restoreHotplugGuest, soon } from "./guest.ts";
import { type Holdings, holdingsOf, slopeOf } from "./holdings.ts";

const ROUNDS = Number(process.env.TAPIR_HOTPLUG_ROUNDS ?? 200);
const BUILD_MS = 150_000;
const MARK = "tapir-hotplug-";
const ROUND_MS = 5000;
/** Less than a forgotten netdev takes. Translated code grows until its room is full, so the second half of the rounds is judged. */
const RSS_KIB_PER_ROUND = 32;
const HOST = "10.77.0.1";
const GUEST = "10.77.0.2";

const names = ["descriptors", "ourDescriptors", "taps", "slots", "rssKib", "guestRssKib"] as const;

let guest: HotplugGuest;

useInventory(test, MARK, async () => {
  await guest?.[Symbol.asyncDispose]();
});

test.before("save and restore a guest", async (t) => {
  t.timeout(BUILD_MS);
  guest = await restoreHotplugGuest(MARK, 3);
});

const holdings = (): Promise<Holdings> => holdingsOf(guest.vm, guest.netns, soon());
/** What must be as before; memory is another matter. */
async function countable(): Promise<Omit<Holdings, "rssKib" | "guestRssKib">> {
  const { rssKib: _, guestRssKib: __, ...rest } = await holdings();
  return rest;
}

test.serial(`${ROUNDS} rounds: the guest sees the NIC come and go, nothing piles up`, async (t) => {
  t.timeout(60_000 + ROUNDS * ROUND_MS);
  const { vm, openNic, configure, macs } = guest;
  const before = await countable();
  const rounds: (Holdings & { plug: number; usable: number; unplug: number })[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const nic = openNic("eth1", 1);
    const start = performance.now();
    await vm.nics.attach(nic, soon());
    const plug = performance.now() - start;
    nic.close();
    await configure(nic, "eth1");
    const usable = performance.now() - start;
    await vm.nics.detach("eth1", soon());
    const unplug = performance.now() - start - usable;
    t.false((await macs()).includes(nic.mac));
    rounds.push({ ...(await holdings()), plug, usable, unplug });
    t.deepEqual(await countable(), before);
  }
  const later = rounds.slice(ROUNDS >> 1);
  const slope = (name: keyof Holdings): number => slopeOf(later.map((one) => one[name]));
  const growth = names.map((name) => `${name} ${slope(name).toFixed(2)}`).join(", ");
  t.log(`growth per round: ${growth}`);
  t.log(`first ${JSON.stringify(rounds[0])}, last ${JSON.stringify(rounds.at(-1))}`);
  const median = (pick: (one: (typeof rounds)[number]) => number): string =>
    (rounds.map(pick).sort((a, b) => a - b)[ROUNDS >> 1] ?? 0).toFixed(0);
  t.log(
    `median ms: plugged ${median((one) => one.plug)}, usable ${median((one) => one.usable)}, unplugged ${median((one) => one.unplug)}`,
  );
  t.true(slope("rssKib") < RSS_KIB_PER_ROUND, growth);
});

test.serial("three NICs at once, one with two queues; a fourth is refused", async (t) => {
  const { vm, openNic, configure, macs } = guest;
  const before = await countable();
  const nics = [openNic("eth1", 2), openNic("eth2", 1), openNic("eth3", 1)];
  const fourth = openNic("eth4", 1);
  await Promise.all(nics.map((nic) => vm.nics.attach(nic, soon())));
  t.is(codeOf(await t.throwsAsync(vm.nics.attach(fourth, soon()))), Code.RESOURCE_EXHAUSTED);
  for (const nic of [...nics, fourth]) nic.close();
  await Promise.all(nics.map((nic) => configure(nic, nic.id)));
  const inGuest = await macs();
  t.true(nics.every(({ mac }) => inGuest.includes(mac)));
  await Promise.all(nics.map(({ id }) => vm.nics.detach(id, soon())));
  t.deepEqual(await countable(), before);
});

test.serial("a NIC goes while packets flow both ways", async (t) => {
  const { vm, openNic, configure, macs, netns } = guest;
  const before = await countable();
  const nic = openNic("eth1", 2);
  await vm.nics.attach(nic, soon());
  nic.close();
  const ip = (...args: string[]) => runOk({ command: "ip", args, netns, deadline: soon() });
  await ip("addr", "add", `${HOST}/24`, "dev", "tap-eth1");
  await ip("link", "set", "tap-eth1", "up");
  await configure(nic, "eth1", GUEST);
  // Each answer calls for the next question: the ring is never empty. The names tell which inventory a child belongs to.
  const flood = inNetns(netns, () =>
    spawn("ping", ["-f", "-n", "-s", "1000", GUEST], { env: { MARK }, stdio: ["ignore", "pipe", "inherit"] }),
  );
  t.teardown(() => flood.kill("SIGKILL"));
  // A dot for a question, a backspace for its answer.
  let answers = 0;
  const flowing = Promise.withResolvers<void>();
  flood.stdout.on("data", (chunk: Buffer) => {
    answers += chunk.toString().split("\b").length - 1;
    if (answers >= 50) flowing.resolve();
  });
  await soon().race(flowing.promise);
  await vm.nics.detach("eth1", soon());
  t.false((await macs()).includes(nic.mac));
  flood.kill("SIGINT");
  await once(flood, "close");
  t.log(`${answers} answers before the NIC was gone`);
  t.deepEqual(await countable(), before);
});

test.serial("a slot that is busy: QEMU's refusal leaves no netdev, tap or slot", async (t) => {
  const { vm, openNic, configure } = guest;
  // Behind our back: our books say that the port is free. The guest has no driver that would open something for it.
  const squatter = { driver: "tpci200", id: "squatter", bus: "rp0", addr: "0x0" };
  await vm.qmp.execute("device_add", squatter, soon());
  const before = await countable();
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const nic = openNic("eth1", 2);
    const error = await t.throwsAsync(vm.nics.attach(nic, soon()));
    t.regex(error.message, /^cannot plug NIC eth1 of VM hotplug: .*(in use|not available)/);
    nic.close();
    // The second time its netdev would be in the way of the second attempt.
    t.deepEqual(await countable(), before);
  }
  const gone = vm.qmp.watch("the squatter's end", (event) =>
    event.event === "DEVICE_DELETED" && JSON.stringify(event.data).includes("squatter") ? true : undefined,
  );
  await vm.qmp.execute("device_del", { id: "squatter" }, soon());
  await soon().race(gone.found);
  gone.end();
  const nic = openNic("eth1", 2);
  await vm.nics.attach(nic, soon());
  nic.close();
  await configure(nic, "eth1");
  await vm.nics.detach("eth1", soon());
  t.deepEqual(await countable(), { ...before, slots: before.slots - 1 });
});

test.serial("a paused guest: a bounded error, other commands served, a later try works", async (t) => {
  const { vm, openNic, configure, macs } = guest;
  const before = await countable();
  const nic = openNic("eth1", 1);
  await vm.nics.attach(nic, soon());
  nic.close();
  await configure(nic, "eth1");
  await vm.qmp.execute("stop", undefined, soon());
  const detaching = vm.nics.detach("eth1", deadlineIn(500, "remove eth1"));
  t.false((await vm.qmp.execute("query-status", undefined, soon())).running);
  t.is(codeOf(await t.throwsAsync(detaching)), Code.DEADLINE_EXCEEDED);
  await vm.qmp.execute("cont", undefined, soon());
  await vm.nics.detach("eth1", soon());
  t.false((await macs()).includes(nic.mac));
  t.deepEqual(await countable(), before);
});
