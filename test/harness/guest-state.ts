import { askGuest, type GuestView } from "../../cli/management-client.ts";
import { networkDifference } from "../../network/difference.ts";
import { type DiscoveredNetwork, discover } from "../../network/discover.ts";
import { planGuest } from "../../network/guest-plan.ts";
import { modelNamed } from "../../network/models.ts";
import { planNics } from "../../network/nic-plan.ts";
import { sandboxDirectory } from "../../shim/state/directory.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { type NetworkText, textOfGuest, textOfNetns } from "./network-text.ts";

/** A pod's network seen from both sides, and what is not equal. */
export interface GuestState {
  readonly view: GuestView;
  readonly netns: NetworkText;
  readonly guest: NetworkText;
  /** Empty when guest and netns agree in every field. */
  readonly differences: readonly string[];
}

/** Asks the guest of a pod over gRPC (through its shim), reads its netns, and compares the two. */
export async function readGuestState(
  stateDirectory: string,
  pod: { readonly id: string; readonly netnsPath: string },
  deadline: Deadline,
): Promise<GuestState> {
  const view = await deadline.race(askGuest(sandboxDirectory(stateDirectory, "k8s.io", pod.id)));
  const network = await discover(pod.netnsPath, deadline);
  const netns = textOfNetns(network);
  const guest = textOfGuest(view);
  const { interfaces, routes, rules, neighbors } = view;
  const actual = {
    interfaces: [...interfaces],
    routes: [...routes],
    rules: [...rules],
    neighbors: [...neighbors],
  };
  const inWords = (Object.keys(netns) as (keyof NetworkText)[]).flatMap((part) => [
    ...netns[part].filter((line) => !guest[part].includes(line)).map((line) => `only in the netns: ${line}`),
    ...guest[part].filter((line) => !netns[part].includes(line)).map((line) => `only in the guest: ${line}`),
  ]);
  return {
    view,
    netns,
    guest,
    differences: [...inWords, ...networkDifference(wantedGuest(network), actual)],
  };
}

/** What Tapir plans for the veths; its own tap, which is there by now, is none of the pod's. */
function wantedGuest(network: DiscoveredNetwork) {
  const veths = { ...network, links: network.links.filter(({ link }) => link.kind === "veth") };
  return planGuest(veths, planNics(veths, { model: modelNamed("tcfilter"), vcpus: 1 }));
}
