import { table } from "../cli/table.ts";
import type { Agent } from "../shim/agent-client.ts";
import { deadlineIn } from "../sys/deadline.ts";
import { closeAll } from "../sys/fdpass.ts";
import { openTap } from "../sys/tap.ts";
import { bootGuest } from "../test/harness/guest-vm.ts";
import { makeNetns } from "../test/harness/netns.ts";
import { median } from "./median.ts";
import { measureInGuest } from "./netconf-vm.ts";
import { SIZES, type Size, type Times, wantedOf } from "./netconf-work.ts";
import { readRounds } from "./options.ts";
import { writeResult } from "./results.ts";

/**
 * `npm run bench:netconf [-- --rounds N]`: what it takes to configure a guest, in the guest: the agent's work beside the same
 * netlink calls alone (at a pod's start nothing can be there; later the tables are read first, beside calls with and without
 * that), and the one RPC that brings it, from outside.
 */
const rounds = readRounds(9);
const BOOT_MS = 180_000;
const NICS = 8;
const NOTHING = { interfaces: [], routes: [], rules: [], neighbors: [], linkTimeoutMilliseconds: 0 };

const nameOf = ({ nics, routes }: Size): string => `${nics}_nics_${routes}_routes`;

/** Milliseconds of one UpdateNetwork each, seen from the host. */
async function measureCalls(): Promise<Map<string, number[]>> {
  const mark = `tapir-netconf-${process.pid}`;
  await using netns = await makeNetns(mark);
  const nics = Array.from({ length: NICS }, (_, at) => ({
    id: `net${at}`,
    name: `eth${at}`,
    mac: `02:00:00:00:41:0${at}`,
    tapFds: openTap({ netns: netns.path, name: `tap${at}`, queues: 1 }),
    vhostFds: [],
  }));
  await using guest = await bootGuest("tapir-netconf-", nics, NICS + 1);
  for (const { tapFds } of nics) closeAll(tapFds);
  const times = new Map<string, number[]>();
  for (const size of SIZES)
    times.set(nameOf(size), await callsOf(guest.agent, nics.slice(0, size.nics), size));
  return times;
}

async function callsOf(
  agent: Agent,
  nics: readonly { readonly name: string; readonly mac: string }[],
  size: Size,
): Promise<number[]> {
  const { interfaces, routes, rules, neighbors } = wantedOf(nics, size);
  const request = {
    ...{ interfaces: [...interfaces], routes: [...routes], rules: [...rules], neighbors: [...neighbors] },
    linkTimeoutMilliseconds: 10_000,
  };
  const found: number[] = [];
  for (let round = -1; round < rounds; round += 1) {
    const deadline = deadlineIn(60_000, "configure the guest");
    await agent.updateNetwork(NOTHING, deadline);
    const start = performance.now();
    await agent.updateNetwork(request, deadline);
    if (round >= 0) found.push(performance.now() - start);
  }
  return found;
}

interface Row {
  readonly size: Size;
  readonly agent: number;
}

/** What each further route or NIC takes, between two counts of them. */
function marginal(rows: readonly Row[], what: keyof Size, counts: readonly number[]): Record<string, number> {
  const other = what === "nics" ? "routes" : "nics";
  const agentAt = (count: number): number =>
    rows.find(({ size }) => size[what] === count && size[other] === 1)?.agent ?? Number.NaN;
  const pairs = counts.slice(1).map((to, at) => [counts[at] ?? 0, to] as const);
  return Object.fromEntries(
    pairs.map(([from, to]) => [`${what} ${from} to ${to}`, (agentAt(to) - agentAt(from)) / (to - from)]),
  );
}

async function bench(): Promise<void> {
  const inGuest = await measureInGuest(deadlineIn(BOOT_MS, "measure in the guest"));
  const calls = await measureCalls();
  const rows = inGuest.map(({ size, ...times }: Times) => {
    const [blank, agent] = [median(times.blankMs), median(times.agentMs)];
    const [bare, readBare] = [median(times.bareMs), median(times.readBareMs)];
    const call = median(calls.get(nameOf(size)) ?? []);
    const ratios = { start: blank / bare, update: agent / readBare, ratio: agent / bare, whole: call / bare };
    return { name: nameOf(size), size, blank, agent, bare, readBare, call, ...ratios };
  });
  const cells = rows.map(({ size, blank, agent, bare, readBare, call, ...ratios }) => [
    ...[size.nics, size.routes].map((count) => String(count).padStart(6)),
    ...[bare, blank, readBare, agent, call].map((ms) => ms.toFixed(1).padStart(9)),
    ...[ratios.start, ratios.update, ratios.ratio, ratios.whole].map((one) => one.toFixed(2).padStart(8)),
  ]);
  const heads = [
    ...["  NICS", "ROUTES", "  BARE ms", " START ms", "+READ ms", "UPDATE ms", "   RPC ms"],
    ...[" START/B", "UPD/READ", "   UPD/B", "   RPC/B"],
  ];
  process.stdout.write(`\n${table(heads, cells)}`);
  const growth = {
    ...marginal(rows, "routes", [1, 10, 100]),
    ...marginal(rows, "nics", [1, 4, 8]),
  };
  process.stdout.write("\none more takes the agent, in ms (the same everywhere: it grows linearly)\n");
  for (const [name, ms] of Object.entries(growth)) process.stdout.write(`  ${name}: ${ms.toFixed(2)}\n`);
  const largest = rows.find(({ size }) => size.routes === 100);
  const [ratio, whole] = [largest?.ratio ?? Number.NaN, largest?.whole ?? Number.NaN];
  const worst = {
    start: Math.max(...rows.map((row) => row.start)),
    update: Math.max(...rows.map((row) => row.update)),
    netconf: Math.max(...rows.map((row) => row.ratio)),
    rpc: Math.max(...rows.map((row) => row.whole)),
  };
  const path = writeResult("netconf", {
    failures: 0,
    ratios: {
      netconf_over_netlink: ratio,
      netconf_over_netlink_worst: worst.netconf,
      netconf_at_start_over_netlink_worst: worst.start,
      netconf_over_reading_netlink_worst: worst.update,
      // The way from the shim and back is in it, and what gRPC costs a guest.
      rpc_over_netlink: whole,
      rpc_over_netlink_worst: worst.rpc,
      ...Object.fromEntries(rows.map((row) => [`netconf_over_netlink_${row.name}`, row.ratio])),
      ...Object.fromEntries(rows.map((row) => [`netconf_at_start_over_netlink_${row.name}`, row.start])),
      ...Object.fromEntries(rows.map((row) => [`netconf_over_reading_netlink_${row.name}`, row.update])),
      ...Object.fromEntries(rows.map((row) => [`rpc_over_netlink_${row.name}`, row.whole])),
    },
    table: {
      ...Object.fromEntries(
        rows.map(({ name, blank, agent, bare, readBare, call }) => [
          name,
          { start_ms: blank, agent_ms: agent, bare_ms: bare, reading_bare_ms: readBare, rpc_ms: call },
        ]),
      ),
      one_more_ms: growth,
    },
    runs: Object.fromEntries(
      inGuest.flatMap(({ size, blankMs, agentMs, bareMs, readBareMs }) => [
        [`${nameOf(size)} start`, blankMs],
        [`${nameOf(size)} reading bare`, readBareMs],
        [`${nameOf(size)} agent`, agentMs],
        [`${nameOf(size)} bare`, bareMs],
        [`${nameOf(size)} rpc`, calls.get(nameOf(size)) ?? []],
      ]),
    ),
  });
  process.stdout.write(
    `\nat start: the worst row ${worst.start.toFixed(2)}; later, beside calls that read as well: ${worst.update.toFixed(2)}\n` +
      `netconf_over_netlink ${ratio.toFixed(2)} (100 routes), the worst row ${worst.netconf.toFixed(2)}\n` +
      `rpc_over_netlink ${whole.toFixed(2)} (100 routes), the worst row ${worst.rpc.toFixed(2)}\nwritten to ${path}\n`,
  );
}

await bench();
