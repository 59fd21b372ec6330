import type { EndpointDetector } from "../endpoint.ts";

/** One end of a veth pair; the other end is on the node, plugged into its bridge or routed. */
export const vethEndpoint: EndpointDetector = {
  kind: "veth",
  detects: ({ kind }) => kind === "veth",
};
