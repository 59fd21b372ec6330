// Requires root, /dev/net/tun, qemu-system-x86_64, and the guest image below build/.
// Hundreds of random network namespaces, all through one VM, one after another: the guest has what each says.
// TAPIR_GENERATED_SEED and TAPIR_GENERATED_COUNT choose others, or one again.
import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { networkDifference } from "../../network/difference.ts";
import { type DiscoveredNetwork, discover } from "../../network/discover.ts";
import type { GuestNetwork } from "../../network/guest-network.ts";
import { planGuest } from "../../network/guest-plan.ts";
import { modelNamed } from "../../network/models.ts";
import { planNics } from "../../network/nic-plan.ts";
import { guestRequest } from "../../shim/sandbox/guest-request.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { inNetns } from "../../sys/netns.ts";
import { openTap } from "../../sys/tap.ts";
import { useInventory } from "../harness/fixture.ts";
import { bootGuest, type GuestVm } from "../harness/guest-vm.ts";
import { makeNetns, type TestNetns } from "../harness/netns.ts";
import { recordDifferences } from "./compare-records.ts";
import { type Generated, generate } from "./generator.ts";

const COUNT = Number(process.env.TAPIR_GENERATED_COUNT ?? 300);
const SEED = Number(process.env.TAPIR_GENERATED_SEED ?? 1);
const MACS = ["02:00:00:00:02:01", "02:00:00:00:02:02"];
const MARK = "tapir-generated-";
const soon = (): Deadline => deadlineIn(60_000, "test");

const WAYS: readonly Way[] = ["pod", "network", "parts"];

let taps: TestNetns;
let guest: GuestVm;

useInventory(test, MARK, async () => {
  await guest?.[Symbol.asyncDispose]();
  await taps?.[Symbol.asyncDispose]();
});

test.before("boot", async () => {
  taps = await makeNetns(`${MARK}${process.pid}`);
  const nics = MACS.map((mac, at) => ({
    id: `net${at}`,
    mac,
    tapFds: openTap({ netns: taps.path, name: `tap${at}`, queues: 1 }),
    vhostFds: [],
  }));
  guest = await bootGuest(MARK, nics);
});

/** Makes the namespace, reads it, and takes it away again. */
async function discovered({ batch, sysctls }: Generated): Promise<DiscoveredNetwork> {
  const name = `${MARK}${process.pid}-pod`;
  execFileSync("ip", ["netns", "add", name]);
  try {
    const path = `/run/netns/${name}`;
    execFileSync("ip", ["-n", name, "link", "set", "lo", "up"]);
    // What the kernel refuses is not there: ip says so and goes on.
    for (const family of ["-4", "-6"]) {
      const lines = batch.filter((line) => line.startsWith("-6") === (family === "-6"));
      const input = lines.map((line) => `${line.replace(/^-[46] /, "")}\n`).join("");
      spawnSync("ip", [family, "-n", name, "-force", "-batch", "-"], { input });
    }
    inNetns(path, () => {
      for (const { path: file, value } of sysctls) {
        try {
          writeFileSync(file, value);
        } catch {
          // A NIC with a small MTU has no IPv6.
        }
      }
    });
    // The kernel makes the route to an IPv6 peer a moment after the address, and says so with nothing that can be waited for.
    await sleep(30);
    const network = await discover(path, soon());
    // The peers lie in the same namespace; a pod's lie on the node.
    return { ...network, links: network.links.filter(({ link }) => !link.name.startsWith("peer")) };
  } finally {
    execFileSync("ip", ["netns", "del", name]);
  }
}

const messages = ({ interfaces }: GuestNetwork) =>
  interfaces.map((one) => ({ ...one, hardwareMac: undefined }));

async function readGuest(): Promise<GuestNetwork> {
  const { agent } = guest;
  const [{ interfaces }, { routes }, { rules }, { neighbors }] = await Promise.all([
    agent.listInterfaces(soon()),
    agent.listRoutes(soon()),
    agent.listRules(soon()),
    agent.listNeighbors(soon()),
  ]);
  // A NIC that the pod does not use stays plugged in here.
  const used = interfaces.filter(({ up, addresses }) => up || addresses.length > 0);
  return { interfaces: used, routes, rules, neighbors };
}

type Way = "pod" | "network" | "parts";

/** The whole pod at once, the network at once, or each part by its own call. */
async function apply(wanted: GuestNetwork, way: Way): Promise<void> {
  const { agent } = guest;
  if (way === "network") {
    await agent.updateNetwork(
      { ...wanted, interfaces: messages(wanted), linkTimeoutMilliseconds: 0 },
      soon(),
    );
    return;
  }
  if (way === "pod") {
    const spec = {
      id: "generated",
      namespace: "test",
      netns: "",
      hostname: "generated",
      bundle: "",
      annotations: {},
      dns: { servers: [], searches: [], options: [] },
    };
    await agent.createSandbox(guestRequest(spec, wanted, 10_000), soon());
    return;
  }
  for (const one of messages(wanted)) {
    await agent.updateInterface({ interface: one, linkTimeoutMilliseconds: 0 }, soon());
  }
  await agent.addNeighbors({ neighbors: wanted.neighbors, exactly: true }, soon());
  // Rules of before may hide the gateways of now.
  await agent.updateRules({ rules: [] }, soon());
  await agent.updateRoutes({ routes: wanted.routes }, soon());
  await agent.updateRules({ rules: wanted.rules }, soon());
}

test.serial(`${COUNT} random namespaces from seed ${SEED} on`, async (t) => {
  t.timeout(600_000);
  const counted = { interfaces: 0, addresses: 0, routes: 0, rules: 0, neighbors: 0, sysctls: 0 };
  const wrong: string[] = [];
  const prepare = (seed: number): Promise<DiscoveredNetwork> => discovered(generate(seed, MACS));
  let next = prepare(SEED);
  for (let seed = SEED; seed < SEED + COUNT; seed += 1) {
    const network = await next;
    // While the guest is busy with this one, which it has been told of by then.
    if (seed + 1 < SEED + COUNT) next = sleep(5).then(() => prepare(seed + 1));
    next.catch(() => undefined);
    const wanted = planGuest(network, planNics(network, { model: modelNamed("tcfilter"), vcpus: 1 }));
    const way = WAYS[seed % (wanted.interfaces.length < MACS.length ? 2 : 3)] ?? "pod";
    try {
      await apply(wanted, way);
      const actual = await readGuest();
      const lines = [...networkDifference(wanted, actual), ...recordDifferences(network, actual)];
      wrong.push(...lines.map((line) => `seed ${seed}: ${line}`));
    } catch (error) {
      wrong.push(`seed ${seed}: ${String(error)}`);
    }
    counted.interfaces += wanted.interfaces.length;
    counted.addresses += wanted.interfaces.flatMap(({ addresses }) => addresses).length;
    counted.routes += wanted.routes.length;
    counted.rules += wanted.rules.length;
    counted.neighbors += wanted.neighbors.length;
    counted.sysctls += wanted.interfaces.flatMap(({ sysctls }) => Object.keys(sysctls)).length;
    if (wrong.length > 40) break;
  }
  await next.catch(() => undefined);
  t.log(`${COUNT} configurations compared, seeds ${SEED} to ${SEED + COUNT - 1}: ${JSON.stringify(counted)}`);
  t.deepEqual(wrong, []);
});
