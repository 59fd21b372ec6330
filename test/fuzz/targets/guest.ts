import { guestText } from "../../../cli/guest.ts";
import { networkDifference } from "../../../network/difference.ts";
import {
  GetGuestDetailsResponse,
  ListInterfacesResponse,
  ListNeighborsResponse,
  ListRoutesResponse,
  ListRulesResponse,
} from "../../../proto/gen/tapir/agent/v1/agent.ts";
import {
  ListProcessesResponse,
  StatsContainerResponse,
  WaitProcessResponse,
} from "../../../proto/gen/tapir/agent/v1/container.ts";
import { packMetrics } from "../../../shim/task/metrics/metrics.ts";
import { TapirError } from "../../../sys/error.ts";
import { Code } from "../../../sys/status.ts";
import type { Target } from "../fuzz.ts";

/** A guest that lies: what gRPC can decode goes where the shim and the operator's command take it. */

interface MessageType<T> {
  decode(bytes: Uint8Array): T;
  encode(message: T): { finish(): Uint8Array };
  fromPartial(partial: object): T;
}

const interfaces = ListInterfacesResponse.fromPartial({
  interfaces: [
    {
      name: "eth0",
      mac: "02:00:00:00:00:01",
      mtu: 1500,
      up: true,
      addresses: [{ address: "10.0.0.2", prefixLength: 24, scope: 0 }],
    },
  ],
});
const routes = ListRoutesResponse.fromPartial({
  routes: [{ destination: "0.0.0.0/0", gateway: "10.0.0.1", device: "eth0", table: 254, type: 1 }],
});
const neighbors = ListNeighborsResponse.fromPartial({
  neighbors: [{ address: "10.0.0.1", mac: "02:00:00:00:00:02", device: "eth0", state: 0x80 }],
});
const rules = ListRulesResponse.fromPartial({ rules: [{ priority: 100, table: 100 }] });
const details = GetGuestDetailsResponse.fromPartial({ hostname: "pod", kernelRelease: "6.1.0", vcpus: 1 });
const wanted = {
  interfaces: interfaces.interfaces,
  routes: routes.routes,
  rules: rules.rules,
  neighbors: neighbors.neighbors,
};

/** Undecodable is what grpc-js answers itself. */
function decoding<T>(type: Pick<MessageType<T>, "decode">, input: Buffer): T {
  try {
    return type.decode(input);
  } catch (error) {
    throw new TapirError({
      code: Code.INTERNAL,
      operation: "decode",
      object: "answer",
      cause: String(error),
    });
  }
}

function target<T>(name: string, type: MessageType<T>, seed: object, use: (answer: T) => void): Target {
  const seeds = [Buffer.from(type.encode(type.fromPartial(seed)).finish())];
  const words = ["\u001b[2J", "\u0000", "../../etc", "a".repeat(300), "\r\n", "\u202e"];
  return { name: `guest: ${name}`, seeds, words, run: (input) => use(decoding(type, input)) };
}

/** No byte of a guest may steer the operator's terminal, or change in which order its words are shown. */
function shown(text: string): void {
  if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text.replaceAll("\n", "")))
    throw new Error(`characters that are not shown: ${JSON.stringify(text)}`);
}

const view = {
  details,
  interfaces: interfaces.interfaces,
  routes: routes.routes,
  rules: [],
  neighbors: neighbors.neighbors,
};

export const guestTargets: readonly Target[] = [
  target("interfaces", ListInterfacesResponse, interfaces, ({ interfaces: lies }) => {
    networkDifference(wanted, { ...wanted, interfaces: lies }).join("\n");
    shown(guestText({ ...view, interfaces: lies }));
  }),
  target("routes", ListRoutesResponse, routes, ({ routes: lies }) => {
    networkDifference(wanted, { ...wanted, routes: lies });
    shown(guestText({ ...view, routes: lies }));
  }),
  target("rules", ListRulesResponse, rules, ({ rules: lies }) => {
    networkDifference(wanted, { ...wanted, rules: lies });
  }),
  target("neighbours", ListNeighborsResponse, neighbors, ({ neighbors: lies }) => {
    networkDifference(wanted, { ...wanted, neighbors: lies });
    shown(guestText({ ...view, neighbors: lies }));
  }),
  target("details", GetGuestDetailsResponse, details, (lies) => {
    shown(guestText({ ...view, details: lies }));
  }),
  target(
    "statistics",
    StatsContainerResponse,
    { cpu: {}, memory: {}, pids: {}, io: [], network: [] },
    (lies) => {
      for (const unified of [true, false]) packMetrics(lies, unified);
    },
  ),
  target("processes", ListProcessesResponse, { processes: [{ pid: 1 }] }, () => undefined),
  target("exit", WaitProcessResponse, { exitCode: 1 }, () => undefined),
];
