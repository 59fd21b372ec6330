import { isOwnTap } from "../pod-tap-mark.ts";
import type { EndpointDetector } from "./kind.ts";

const ETHERNET = 1;

/** A tap that somebody else holds the other end of (slirp, passt, a VPN). The kernel calls both taps and tuns "tun". */
export const tapEndpoint: EndpointDetector = {
  kind: "tap",
  detects: (link) => link.kind === "tun" && link.type === ETHERNET && !isOwnTap(link),
};
