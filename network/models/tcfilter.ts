import { ensureIngress } from "../ingress.ts";
import type { Model } from "../model.ts";
import { openPodTap, podTap } from "../pod-tap.ts";
import { redirect } from "../redirect.ts";

/**
 * A tap beside the pod's link, and every frame that comes in on one goes out of the other. The redirect takes frames
 * before the namespace's own stack sees them, so link and addresses stay as CNI made them and never answer themselves.
 */
export const tcfilter: Model = {
  name: "tcfilter",
  serves: ["veth", "macvlan", "ipvlan", "bridge", "vlan", "vxlan", "dummy", "tap"],
  redirects: true,
  async connect(plan, context, deadline) {
    const { link: tap, ...descriptors } = await openPodTap(plan, context, deadline);
    await ensureIngress(tap, context, deadline);
    await ensureIngress(plan.link, context, deadline);
    await redirect(plan.link, tap, context, deadline);
    await redirect(tap, plan.link, context, deadline);
    return { plan, tapName: tap.name, ...descriptors };
  },
  wayToGuest: (plan, { socket }, deadline) => podTap(plan, socket, deadline),
};
