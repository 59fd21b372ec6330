import { table } from "../cli/table.ts";
import { modelNamed } from "../network/models.ts";
import { interleave, medianOf, type Outcome, type Sample, valuesOf } from "./measure.ts";
import { median } from "./median.ts";
import { startNetArms } from "./net-arms.ts";
import type { Way } from "./net-place.ts";
import type { Traffic } from "./net-traffic.ts";
import { readRounds } from "./options.ts";
import { writeResult } from "./results.ts";

/**
 * `npm run bench:net [-- --rounds N]`: what a pod's network carries, without VM (as under runc), and in a VM by each model,
 * with one queue and two; the floor is the same VM's NIC whose tap is a port of the bridge itself. What talks to the pod is
 * the node, a pod without VM, and a pod of its own kind.
 */
const rounds = readRounds(6);
const BUDGET_MS = 300_000;
const PART_MS = 600;
const MIB = 1 << 20;
/** Names of a sample's values, with what they are and whether more is better. */
const ROWS = [
  ["hostTcp", "node to pod, TCP, MiB/s", "more"],
  ["hostFrom", "pod to node, TCP, MiB/s", "more"],
  ["hostUdp", "node to pod, UDP, thousand packets/s", "more"],
  ["hostAsk", "node and pod, request and answer, us", "less"],
  ["podTcp", "runc's pod to pod, TCP, MiB/s", "more"],
  ["podUdp", "runc's pod to pod, UDP, thousand packets/s", "more"],
  ["podAsk", "runc's pod and pod, request and answer, us", "less"],
  ["likeTcp", "pod to pod of its kind, TCP, MiB/s", "more"],
  ["likeUdp", "pod to pod of its kind, UDP, thousand packets/s", "more"],
  ["likeAsk", "pod and pod of its kind, request and answer, us", "less"],
] as const;

function ways(): Way[] {
  const known: Way[] = ["floor", "tcfilter"];
  try {
    modelNamed("macvtap");
    return [...known, "macvtap"];
  } catch {
    return known;
  }
}

/** The median of each round's own ratio: a busy moment meets both sides of it. Above 1 is better than `below`. */
function ratioOf(
  outcome: Outcome,
  arm: string,
  below: string,
  [value, , better]: (typeof ROWS)[number],
): number {
  const base = valuesOf(outcome, below, value);
  const ratios = valuesOf(outcome, arm, value).map((one, at) => one / (base[at] ?? Number.NaN));
  return better === "more" ? median(ratios) : 1 / median(ratios);
}

async function bench(): Promise<void> {
  await using net = await startNetArms(ways());
  const { host, pod, vm } = net;
  const run = (address: string, like: Traffic) => async (): Promise<Sample> => ({
    hostTcp: (await host.run("send", address, PART_MS)) / MIB,
    hostFrom: (await host.run("receive", address, PART_MS)) / MIB,
    hostUdp: (await host.run("datagrams", address, PART_MS)) / 1000,
    hostAsk: await host.run("ask", address, PART_MS),
    podTcp: (await pod.run("send", address, PART_MS)) / MIB,
    podUdp: (await pod.run("datagrams", address, PART_MS)) / 1000,
    podAsk: await pod.run("ask", address, PART_MS),
    likeTcp: (await like.run("send", address, PART_MS)) / MIB,
    likeUdp: (await like.run("datagrams", address, PART_MS)) / 1000,
    likeAsk: await like.run("ask", address, PART_MS),
  });
  const arms = [...net.pods].map(([name, address]) => ({
    name,
    run: run(address, name === "runc" ? pod : vm),
  }));
  const outcome = await interleave(arms, { rounds, budgetMs: BUDGET_MS });
  const names = arms.map(({ name }) => name);
  const cells = ROWS.map((row) => [
    row[1],
    ...names.map((name) => medianOf(outcome, name, row[0]).toFixed(1).padStart(9)),
  ]);
  process.stdout.write(`\n${table(["WHAT", ...names.map((name) => name.padStart(9))], cells)}\n`);
  const pairs = names
    .filter((name) => !name.startsWith("floor"))
    .map((name) => ({ name, below: name.endsWith(" 2q") ? "floor 2q" : "floor" }));
  const compared = pairs.map(({ name, below }) => [
    `${name} / ${below}`,
    ...ROWS.map((row) => ratioOf(outcome, name, below, row).toFixed(3).padStart(8)),
  ]);
  process.stdout.write(
    table(["RATIO, above 1 is better", ...ROWS.map(([value]) => value.padStart(8))], compared),
  );
  const ratios = Object.fromEntries(
    pairs.flatMap(({ name, below }) =>
      ROWS.map((row) => [
        `${name.replace(" ", "_")}_over_floor_${row[0]}`,
        ratioOf(outcome, name, below, row),
      ]),
    ),
  );
  // What is between bridge and tap, in every direction and all ways of measuring.
  const mean = (arm: string, below: string, rows: readonly (typeof ROWS)[number][] = ROWS): number => {
    const all = rows.map((row) => Math.log(ratioOf(outcome, arm, below, row)));
    return Math.exp(all.reduce((sum, one) => sum + one, 0) / all.length);
  };
  const tcp = ROWS.filter(([, what]) => what.includes("TCP"));
  const headlines = {
    tcfilter_over_floor: mean("tcfilter", "floor"),
    tcfilter_over_floor_tcp: mean("tcfilter", "floor", tcp),
    tcfilter_2q_over_floor: mean("tcfilter 2q", "floor 2q"),
    tcfilter_2q_over_floor_tcp: mean("tcfilter 2q", "floor 2q", tcp),
  };
  const path = writeResult("net", {
    failures: outcome.failures.length,
    ratios: { ...headlines, ...ratios },
    table: Object.fromEntries(
      names.map((name) => [name, Object.fromEntries(ROWS.map(([v]) => [v, medianOf(outcome, name, v)]))]),
    ),
    runs: Object.fromEntries(
      names.flatMap((name) => ROWS.map(([value]) => [`${name} ${value}`, valuesOf(outcome, name, value)])),
    ),
  });
  for (const failure of outcome.failures) process.stdout.write(`  ${failure}\n`);
  for (const [name, ratio] of Object.entries(headlines))
    process.stdout.write(`${name} ${ratio.toFixed(3)} (geometric mean)\n`);
  process.stdout.write(`written to ${path}\n`);
}

await bench();
