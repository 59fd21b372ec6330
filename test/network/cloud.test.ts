// Requires root, containerd, CNI plugins, QEMU and what the set-up puts below build/.
// The clouds' CNI: an address alone, and a gateway that never answers. Known to fail in other runtimes until somebody
// puts an ARP entry into the guest by hand.
import test from "ava";
import { pingFromGuest } from "../../cli/management-client.ts";
import { sandboxDirectory } from "../../shim/state/directory.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import type { PodStatus } from "../harness/crictl.ts";
import { useNode } from "../harness/fixture.ts";
import { readGuestState } from "../harness/guest-state.ts";
import { CLOUD, CLOUD_PLUGIN } from "./cloud-cni.ts";

const node = useNode(test, {
  cni: (list) => ({ ...list, plugins: [{ type: "cloud" }] }),
  plugins: { cloud: CLOUD_PLUGIN },
});
let pod: PodStatus;

test.serial("the pod starts with the addresses that the plugin gave", async (t) => {
  const { crictl, podConfig } = node();
  const deadline = deadlineIn(120_000, "start a pod");
  pod = await crictl.inspectp(await crictl.runp(podConfig("vm"), "tapir", deadline), deadline);
  t.deepEqual(pod.addresses, [...CLOUD.pod]);
});

test.serial("it reaches what lies behind the gateway, on both families, with no manual step", async (t) => {
  const directory = sandboxDirectory(node().stateDirectory, "k8s.io", pod.id);
  for (const address of CLOUD.node) await t.notThrowsAsync(pingFromGuest(directory, address, 10_000));
});

test.serial("and is reached", async (t) => {
  for (const address of CLOUD.pod) {
    await t.notThrowsAsync(node().ping(address, deadlineIn(20_000, `ping ${address}`)));
  }
});

test.serial("the gateway answers nobody", async (t) => {
  const directory = sandboxDirectory(node().stateDirectory, "k8s.io", pod.id);
  await t.throwsAsync(pingFromGuest(directory, CLOUD.gateways[0], 1000));
});

test.serial("the guest has what the netns has, permanent entries included", async (t) => {
  const deadline = deadlineIn(30_000, "look at both sides");
  const { guest, differences } = await readGuestState(node().stateDirectory, pod, deadline);
  t.deepEqual(differences, []);
  t.deepEqual(guest.neighbors, [
    "169.254.1.1 at 02:00:00:00:09:01 dev eth0",
    "fe80::1 at 02:00:00:00:09:01 dev eth0",
  ]);
});
