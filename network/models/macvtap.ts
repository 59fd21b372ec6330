import { openDetour } from "../detour.ts";
import type { Model } from "../model.ts";
import { openPodMacvtap } from "../pod-macvtap.ts";

/**
 * A macvtap on top of the pod's link, in the mode that takes every frame of it (passthru). Link and macvtap have one MAC
 * then, so the link keeps its MAC, addresses and routes all the time, and the namespace still says what the guest must have:
 * other runtimes exchange the MACs and strip the link, and a CNI that looks for the pod's address at the end finds none.
 */
export const macvtap: Model = {
  name: "macvtap",
  // The kernel puts a macvtap on a macvlan or ipvlan beside it, on their device, which is not the pod's.
  serves: ["veth", "bridge", "vlan", "vxlan", "dummy", "tap"],
  redirects: false,
  async connect(plan, context, deadline) {
    const { link, ...descriptors } = await openPodMacvtap(plan, context, deadline);
    return { plan, tapName: link.name, ...descriptors };
  },
  // A macvtap hands frames to its reader without a queue that could be slowed down.
  wayToGuest: openDetour,
};
