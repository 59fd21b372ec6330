import { connect } from "../network/connect.ts";
import { discover } from "../network/discover.ts";
import { modelNamed } from "../network/models.ts";
import { planNics } from "../network/nic-plan.ts";
import type { Deadline } from "../sys/deadline.ts";
import type { Ledger } from "../sys/ledger.ts";
import { openTap } from "../sys/tap.ts";
import { makeNetns } from "../test/harness/netns.ts";
import { runOk } from "../test/harness/run.ts";
import { addressOf, type End, macOf } from "./net-ends.ts";

/** How a pod's NIC is connected to the node's bridge. */
export type Way = "floor" | "tcfilter" | "macvtap";

/** A way with a number of queues; each has a subnet of its own, 10.50.<net>.0/24. */
export interface Arm {
  readonly name: string;
  readonly way: Way;
  readonly queues: number;
  readonly net: number;
}

export interface Nic {
  readonly mac: string;
  readonly queues: number;
  readonly tapFds: readonly number[];
}

/** The namespace that plays the node's, with the bridge br0, and what is made there. */
export interface Place {
  readonly mark: string;
  readonly node: string;
  readonly ledger: Ledger;
  readonly made: AsyncDisposableStack;
}

const QUEUES = [1, 2];

export const armsOf = (ways: readonly Way[]): Arm[] =>
  QUEUES.flatMap((queues) => ways.map((way) => ({ way, queues }))).map(({ way, queues }, at) => {
    return { name: queues === 1 ? way : `${way} ${queues}q`, way, queues, net: at + 1 };
  });

/** A NIC for a VM that is a port of the bridge, by nothing but a tap or as the model connects it. */
export async function makeNic(place: Place, arm: Arm, end: End, deadline: Deadline): Promise<Nic> {
  const { mark, node, ledger, made } = place;
  const { way, queues, net } = arm;
  const nic = { mac: macOf(net, end), queues };
  if (way === "floor") {
    const name = `${end.name}${net}`;
    const tapFds = openTap({ netns: node, name, queues });
    await ip(node, deadline, `link set ${name} master br0`, `link set ${name} up`);
    return { ...nic, tapFds };
  }
  const pod = made.use(await makeNetns(`${mark}-${end.name}${net}`));
  await makePort(place, pod.name, net, end, deadline);
  const found = await discover(pod.path, deadline);
  const model = modelNamed(way);
  const plans = planNics(found, { model, vcpus: queues });
  const [attached] = await connect(found, plans, { model, ledger, vhostNet: false }, deadline);
  return { ...nic, tapFds: attached?.tapFds ?? [] };
}

/** A veth from the bridge into a pod's namespace, where it is eth0. */
export async function makePort(
  { node }: Place,
  pod: string,
  net: number,
  end: End,
  deadline: Deadline,
): Promise<void> {
  const name = `${end.name}${net}`;
  await ip(
    node,
    deadline,
    `link add ${name} type veth peer name eth0 address ${macOf(net, end)} netns ${pod}`,
    `link set ${name} master br0`,
    `link set ${name} up`,
  );
  await ip(`/run/netns/${pod}`, deadline, `addr add ${addressOf(net, end)}/24 dev eth0`, "link set eth0 up");
}

export async function ip(netns: string, deadline: Deadline, ...lines: readonly string[]): Promise<void> {
  const input = lines.map((line) => `${line}\n`).join("");
  await runOk({ command: "ip", args: ["-batch", "-"], netns, input, deadline });
}
