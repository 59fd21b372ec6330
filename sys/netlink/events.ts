import type { Deadline } from "../deadline.ts";
import { TapirError, wrapError } from "../error.ts";
import { Code } from "../status.ts";
import { decodeAddress } from "./address.ts";
import { decodeLink } from "./link.ts";
import { decodeMessages, type Message, RTM } from "./message.ts";
import { decodeNeighbor } from "./neighbor.ts";
import { openRawSocket, type RawSocketOptions } from "./raw-socket.ts";
import type { Address, Link, Neighbor, Route, Rule } from "./records.ts";
import { decodeRoute } from "./route-codec.ts";
import { decodeRule } from "./rule.ts";

/** RTNLGRP_* (linux/rtnetlink.h). */
export const RTNLGRP = {
  LINK: 1,
  NEIGH: 3,
  IPV4_IFADDR: 5,
  IPV4_ROUTE: 7,
  IPV4_RULE: 8,
  IPV6_IFADDR: 9,
  IPV6_ROUTE: 11,
  IPV6_RULE: 19,
} as const;
export type EventGroup = (typeof RTNLGRP)[keyof typeof RTNLGRP];

/** A change in the namespace; `gone` tells a removal from an addition or a change. */
export type RouteEvent =
  | { readonly kind: "link"; readonly gone: boolean; readonly link: Link }
  | { readonly kind: "address"; readonly gone: boolean; readonly address: Address }
  | { readonly kind: "route"; readonly gone: boolean; readonly route: Route }
  | { readonly kind: "neighbor"; readonly gone: boolean; readonly neighbor: Neighbor }
  | { readonly kind: "rule"; readonly gone: boolean; readonly rule: Rule }
  /** Events were lost: list again what you watch. */
  | { readonly kind: "overrun" };

/** Events from the moment of opening on. Dispose it to stop; what is iterating then ends. */
export interface RouteEvents extends Disposable, AsyncIterable<RouteEvent> {
  /** The next event; rejects when the deadline passes or the events were closed. */
  next(deadline: Deadline): Promise<RouteEvent>;
}

/** Events that nobody fetched; more count as an overrun. */
const QUEUE_LIMIT = 4096;

/** Subscribes to groups of the namespace. List what you watch after opening, so that nothing falls in between. */
export function openEvents(groups: readonly EventGroup[], options: RawSocketOptions = {}): RouteEvents {
  const { raw, dropped } = openRawSocket(options);
  let lost = dropped();
  try {
    for (const group of groups) raw.addMembership(group);
  } catch (error) {
    raw.close();
    throw wrapError(error, { operation: "subscribe to", object: `rtnetlink groups ${groups.join(", ")}` });
  }
  let queue: RouteEvent[] = [];
  let closed = false;
  let arrived = Promise.withResolvers<void>();
  let waiting = 0;

  const wake = (): void => {
    arrived.resolve();
    arrived = Promise.withResolvers();
  };
  const push = (events: readonly RouteEvent[]): void => {
    queue.push(...events);
    if (queue.length > QUEUE_LIMIT) queue = [{ kind: "overrun" }];
    wake();
  };
  raw.on("message", (datagram, { port }) => {
    if (port !== 0) return;
    push(eventsOf(datagram));
    // Events are dropped when those before were not fetched: one of these always comes to tell.
    const now = dropped();
    if (now === lost) return;
    lost = now;
    push([{ kind: "overrun" }]);
  });
  raw.on("error", () => push([{ kind: "overrun" }]));

  /** Undefined once closed. */
  const take = async (race: (work: Promise<void>) => Promise<void>): Promise<RouteEvent | undefined> => {
    while (!closed) {
      const event = queue.shift();
      if (event !== undefined) return event;
      if (waiting++ === 0) raw.ref();
      try {
        await race(arrived.promise);
      } finally {
        if (--waiting === 0 && !closed) raw.unref();
      }
    }
    return undefined;
  };

  return {
    async next(deadline) {
      const event = await take((work) => deadline.race(work));
      if (event !== undefined) return event;
      throw new TapirError({
        code: Code.CANCELLED,
        operation: "wait for",
        object: "netlink event",
        cause: "the socket was closed",
      });
    },
    async *[Symbol.asyncIterator]() {
      for (let event = await take((work) => work); event !== undefined; event = await take((work) => work)) {
        yield event;
      }
    },
    [Symbol.dispose]() {
      if (closed) return;
      closed = true;
      raw.close();
      wake();
    },
  };
}

function eventsOf(datagram: Buffer): RouteEvent[] {
  try {
    return decodeMessages(datagram)
      .map(decodeEvent)
      .filter((event) => event !== undefined);
  } catch {
    return [{ kind: "overrun" }];
  }
}

/** Undefined for what is no event of ours (bridge ports, MPLS, unknown types). */
function decodeEvent({ type, payload }: Message): RouteEvent | undefined {
  switch (type) {
    case RTM.NEWLINK:
    case RTM.DELLINK: {
      const link = decodeLink(payload);
      return link && { kind: "link", gone: type === RTM.DELLINK, link };
    }
    case RTM.NEWADDR:
    case RTM.DELADDR: {
      const address = decodeAddress(payload);
      return address && { kind: "address", gone: type === RTM.DELADDR, address };
    }
    case RTM.NEWROUTE:
    case RTM.DELROUTE: {
      const route = decodeRoute(payload);
      return route && { kind: "route", gone: type === RTM.DELROUTE, route };
    }
    case RTM.NEWNEIGH:
    case RTM.DELNEIGH: {
      const neighbor = decodeNeighbor(payload);
      return neighbor && { kind: "neighbor", gone: type === RTM.DELNEIGH, neighbor };
    }
    case RTM.NEWRULE:
    case RTM.DELRULE: {
      const rule = decodeRule(payload);
      return rule && { kind: "rule", gone: type === RTM.DELRULE, rule };
    }
    default:
      return undefined;
  }
}
