import { table } from "../cli/table.ts";
import { modelNamed } from "../network/models.ts";
import { interleave, medianOf, type Outcome, type Sample, valuesOf } from "./measure.ts";
import { median } from "./median.ts";
import { startNetArms, type Way } from "./net-arms.ts";
import { readRounds } from "./options.ts";
import { writeResult } from "./results.ts";

/**
 * `npm run bench:net [-- --rounds N]`: what a pod's network carries, without VM (as under runc), and in a VM by each model,
 * with one queue and two; the floor is the same VM's NIC whose tap is a port of the bridge itself.
 */
const rounds = readRounds(6);
const BUDGET_MS = 200_000;
const PART_MS = 600;
const MIB = 1 << 20;
/** Names of a sample's values, with what they are and whether more is better. */
const ROWS = [
  ["hostTcp", "node to pod, TCP, MiB/s", "more"],
  ["hostFrom", "pod to node, TCP, MiB/s", "more"],
  ["hostUdp", "node to pod, UDP, thousand packets/s", "more"],
  ["hostAsk", "node and pod, request and answer, us", "less"],
  ["podTcp", "pod to pod, TCP, MiB/s", "more"],
  ["podUdp", "pod to pod, UDP, thousand packets/s", "more"],
  ["podAsk", "pod and pod, request and answer, us", "less"],
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
  const { host, pod } = net;
  const run = (address: string) => async (): Promise<Sample> => ({
    hostTcp: (await host.run("send", address, PART_MS)) / MIB,
    hostFrom: (await host.run("receive", address, PART_MS)) / MIB,
    hostUdp: (await host.run("datagrams", address, PART_MS)) / 1000,
    hostAsk: await host.run("ask", address, PART_MS),
    podTcp: (await pod.run("send", address, PART_MS)) / MIB,
    podUdp: (await pod.run("datagrams", address, PART_MS)) / 1000,
    podAsk: await pod.run("ask", address, PART_MS),
  });
  const arms = [...net.pods].map(([name, address]) => ({ name, run: run(address) }));
  const outcome = await interleave(arms, { rounds, budgetMs: BUDGET_MS });
  const names = arms.map(({ name }) => name);
  const cells = ROWS.map((row) => [
    row[1],
    ...names.map((name) => medianOf(outcome, name, row[0]).toFixed(1).padStart(9)),
  ]);
  process.stdout.write(`\n${table(["WHAT", ...names.map((name) => name.padStart(9))], cells)}\n`);
  const pairs = names
    .filter((name) => name !== "runc" && !name.startsWith("floor"))
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
  // What is between bridge and tap, in every direction and both ways of measuring.
  const all = ROWS.map((row) => ratioOf(outcome, "tcfilter", "floor", row));
  const headline = Math.exp(all.reduce((sum, ratio) => sum + Math.log(ratio), 0) / all.length);
  const path = writeResult("net", {
    failures: outcome.failures.length,
    ratios: { tcfilter_over_floor: headline, ...ratios },
    table: Object.fromEntries(
      names.map((name) => [name, Object.fromEntries(ROWS.map(([v]) => [v, medianOf(outcome, name, v)]))]),
    ),
    runs: Object.fromEntries(
      names.flatMap((name) => ROWS.map(([value]) => [`${name} ${value}`, valuesOf(outcome, name, value)])),
    ),
  });
  for (const failure of outcome.failures) process.stdout.write(`  ${failure}\n`);
  process.stdout.write(`tcfilter_over_floor ${headline.toFixed(3)} (geometric mean)\nwritten to ${path}\n`);
}

await bench();
