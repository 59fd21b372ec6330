import type { TracedSide, Verdict } from "../../network/trace/verdict.ts";
import type * as api from "../../proto/gen/tapir/management/v1/management.ts";
import type { TracedPath } from "./trace-network.ts";

/** A traced path as the management API says it. */
export function traceMessage({ link, hops, toGuest, fromGuest }: TracedPath): api.TracedPath {
  return {
    link,
    hops: hops.map(({ hop, toGuest: inward, fromGuest: outward }) => ({
      hop: hop.name,
      object: hop.object,
      toGuest: sideMessage(inward),
      fromGuest: sideMessage(outward),
    })),
    toGuest: verdictMessage(toGuest),
    fromGuest: verdictMessage(fromGuest),
  };
}

function sideMessage({ fault, packets, packetsInWindow, droppedInWindow }: TracedSide): api.HopTraffic {
  return {
    fault: fault ?? "",
    packets: optional(packets),
    packetsInWindow: optional(packetsInWindow),
    droppedInWindow: optional(droppedInWindow),
  };
}

function verdictMessage({ stopsAt, reason, idle }: Verdict): api.TraceVerdict {
  return { stopsAt: stopsAt ?? "", reason, idle };
}

const optional = (count: number | undefined): bigint | undefined =>
  count === undefined ? undefined : BigInt(count);
