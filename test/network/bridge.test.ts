// Requires root, containerd, runc, CNI plugins, QEMU and what the set-up puts below build/.
// A pod of the dual-stack bridge CNI: who reaches it, and whether the guest has what the netns has.
import { release } from "node:os";
import test from "ava";
import { pingFromGuest } from "../../cli/management-client.ts";
import { sandboxDirectory } from "../../shim/state/directory.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import type { PodStatus } from "../harness/crictl.ts";
import { useNode } from "../harness/fixture.ts";
import { readGuestState } from "../harness/guest-state.ts";
import { ping } from "../harness/ping.ts";
import { runOk } from "../harness/run.ts";

const MTU = 1400;
const IPV4_AND_ICMP_HEADERS = 28;
const IPV6_AND_ICMP_HEADERS = 48;
const node = useNode(test, {
  cni: (list) => ({
    ...list,
    plugins: list.plugins.map((plugin) => (plugin.type === "bridge" ? { ...plugin, mtu: MTU } : plugin)),
  }),
});
const pods: Record<"vm" | "runc", PodStatus | undefined> = { vm: undefined, runc: undefined };

function pod(name: keyof typeof pods): PodStatus {
  const status = pods[name];
  if (status === undefined) throw new Error(`pod ${name} has not started`);
  return status;
}

test.serial("a pod in a VM and one under runc start side by side", async (t) => {
  const { crictl, podConfig } = node();
  const deadline = deadlineIn(120_000, "start two pods");
  const [vm, runc] = await Promise.all([
    crictl.runp(podConfig("vm"), "tapir", deadline),
    crictl.runp(podConfig("runc"), "runc", deadline),
  ]);
  pods.vm = await crictl.inspectp(vm, deadline);
  pods.runc = await crictl.inspectp(runc, deadline);
  t.is(pods.vm.state, "SANDBOX_READY");
});

test.serial("the node reaches the pod on both of its addresses", async (t) => {
  t.is(pod("vm").addresses.length, 2);
  for (const address of pod("vm").addresses) {
    await t.notThrowsAsync(node().ping(address, deadlineIn(20_000, `ping ${address}`)));
  }
});

test.serial("another pod reaches it, and the guest answers from its own kernel", async (t) => {
  const deadline = deadlineIn(20_000, "ping from pod to pod");
  for (const address of pod("vm").addresses) {
    await t.notThrowsAsync(ping(pod("runc").netnsPath, address, deadline));
  }
});

test.serial("the pod reaches the other pod and the node", async (t) => {
  const directory = sandboxDirectory(node().stateDirectory, "k8s.io", pod("vm").id);
  for (const address of [...pod("runc").addresses, "10.88.0.1", "fd00:88::1"]) {
    await t.notThrowsAsync(pingFromGuest(directory, address, 10_000));
  }
});

test.serial("a don't-fragment ping of the MTU's size passes, a larger one does not", async (t) => {
  const deadline = deadlineIn(30_000, "ping with the MTU's size");
  for (const address of pod("vm").addresses) {
    const headers = address.includes(":") ? IPV6_AND_ICMP_HEADERS : IPV4_AND_ICMP_HEADERS;
    const payload = MTU - headers;
    await t.notThrowsAsync(node().ping(address, deadline, { payload }));
    const tooLarge = node().ping(address, deadlineIn(2000, "ping too large"), {
      payload: payload + 1,
    });
    await t.throwsAsync(tooLarge);
  }
});

test.serial("the guest has what the netns has, field by field", async (t) => {
  const deadline = deadlineIn(30_000, "look at both sides");
  const { view, netns, differences } = await readGuestState(node().stateDirectory, pod("vm"), deadline);
  t.deepEqual(differences, []);
  t.is(view.interfaces.length, 1);
  t.is(view.interfaces[0]?.name, "eth0");
  t.is(view.interfaces[0]?.mtu, MTU);
  t.true(netns.routes.length >= 5, "default and connected routes of each family, and fe80::/64");
});

test.serial(
  "the link's queue is as CNI left it: nothing has changed that the guest would be told",
  async (t) => {
    const queue = async ({ netnsPath: netns }: PodStatus): Promise<number | undefined> => {
      const deadline = deadlineIn(10_000, "look at the pod's link");
      const text = await runOk({
        command: "ip",
        args: ["-j", "link", "show", "dev", "eth0"],
        netns,
        deadline,
      });
      return (JSON.parse(text) as { txqlen?: number }[])[0]?.txqlen;
    };
    t.is(await queue(pod("vm")), await queue(pod("runc")));
  },
);

test.serial("it is the guest's kernel that was asked", async (t) => {
  const deadline = deadlineIn(30_000, "ask the guest");
  const { details } = (await readGuestState(node().stateDirectory, pod("vm"), deadline)).view;
  t.not(details.kernelRelease, release());
  t.regex(details.kernelRelease, /cloud/);
  t.is(details.hostname, "vm");
});
