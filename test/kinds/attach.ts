import type { AttachedNic } from "../../network/attached-nic.ts";
import { connect } from "../../network/connect.ts";
import { discover } from "../../network/discover.ts";
import { modelNamed } from "../../network/models.ts";
import { planNics } from "../../network/nic-plan.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import type { Ledger } from "../../sys/ledger.ts";

const CONNECT_MS = 60_000;
export const soon = (): Deadline => deadlineIn(CONNECT_MS, "connect");

/** Discovers, plans and connects, as the shim does. */
export async function attach(netns: string, name: string, ledger: Ledger): Promise<AttachedNic[]> {
  const model = modelNamed(name);
  const network = await discover(netns, soon());
  const plans = planNics(network, { model, vcpus: 1 });
  return connect(network, plans, { model, ledger, vhostNet: false }, soon());
}
