// Needs root: works in a network namespace of its own.
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import type { Vm } from "../../hypervisor/hypervisor.ts";
import { discover } from "../../network/discover.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { reasonOf } from "../../sys/error.ts";
import type { Ledger } from "../../sys/ledger.ts";
import type { Agent } from "../agent-client.ts";
import { assemble } from "../config/schema.ts";
import type { Log } from "../log.ts";
import { openPodNetwork, type PodNetworkContext } from "./network.ts";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
const soon = () => deadlineIn(20_000, "test the pod's network");

/** A pod without NIC, and what its guest is told. */
function pod(t: ExecutionContext, name: string, more: Partial<PodNetworkContext> = {}) {
  const netns = `tapir-${name}-${process.pid}`;
  const ip = (line: string): void => void execFileSync("ip", ["-n", netns, ...line.split(" ")]);
  execFileSync("ip", ["netns", "add", netns]);
  t.teardown(() => execFileSync("ip", ["netns", "del", netns]));
  const told: { readonly routes: readonly { readonly destination: string }[] }[] = [];
  const agent = { updateNetwork: async (network: (typeof told)[number]) => void told.push(network) };
  const open = (rest: Partial<PodNetworkContext> = {}) =>
    openPodNetwork({
      ...{ netns: `/run/netns/${netns}`, ledger: {} as Ledger, vm: { restored: undefined } as unknown as Vm },
      settings: { configuration: assemble(new Map()), accelerator: "tcg", timeoutMs: () => 20_000 },
      ...{ agent: agent as unknown as Agent, nics: [], requestMs: 20_000, log: silent, ...more, ...rest },
    });
  return { netns: `/run/netns/${netns}`, ip, told, open };
}

test("following begins with a look: the guest is asked nothing unless something changed since its start", async (t) => {
  const { netns, ip, told, open } = pod(t, "follow");
  ip("link set lo up");
  const found = await discover(netns, soon());
  const same = open({ found });
  same.follow();
  await sleep(500);
  await same.close();
  t.deepEqual(told, []);
  ip("route add blackhole 198.18.0.0/15");
  const changed = open({ found });
  changed.follow();
  for (const deadline = soon(); told.length === 0; ) await deadline.race(sleep(10));
  await changed.close();
  t.deepEqual(
    told.map(({ routes }) => routes.map(({ destination }) => destination)),
    [["198.18.0.0/15"]],
  );
});

test("a pod whose model attaches nothing refuses another NIC, with a way out", async (t) => {
  const configuration = assemble(new Map());
  const settings = {
    configuration: {
      ...configuration,
      network: { ...configuration.network, internetworkingModel: "none" as const },
    },
    ...{ accelerator: "tcg" as const, timeoutMs: () => 20_000 },
  };
  const { ip, told, open } = pod(t, "none", { settings });
  ip("link add net1 type veth peer name far1");
  const network = open();
  const wish = { device: "", name: "net1", mac: "", mtu: 0, addresses: [], limits: {} };
  const refused = await t.throwsAsync(network.addInterface(wish, soon()));
  t.regex(
    reasonOf(refused),
    /^cannot attach link net1: .*"none", which gives its guest no NIC; .*"tcfilter" or "macvtap"/,
  );
  t.deepEqual(told, []);
  await network.close();
});
