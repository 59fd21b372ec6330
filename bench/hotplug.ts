import { readdirSync } from "node:fs";
import { table } from "../cli/table.ts";
import { deadlineIn } from "../sys/deadline.ts";
import { startBareHotplug } from "./bare-hotplug.ts";
import { startHotplugArms } from "./hotplug-arms.ts";
import { interleave, medianOf, minimumOf, valuesOf } from "./measure.ts";
import { readRounds } from "./options.ts";
import { memoryOf } from "./pss.ts";
import { writeResult } from "./results.ts";
import { conclude } from "./verdict.ts";

/**
 * `npm run bench:hotplug [-- --rounds N]`: a NIC comes and goes while the guest runs, beside a QEMU and a guest that are
 * not ours and only announce the link.
 */
const rounds = readRounds(50);
const BOOT_MS = 120_000;
const BUDGET_MS = 4 * 60_000;
const ROWS = [
  ["bare QEMU: device_add to the guest's link event", "bare", "detectMs"],
  ["ours: tap opened", "usable", "openedMs"],
  ["ours: and QMP part (descriptors, netdev, device)", "usable", "pluggedMs"],
  ["ours: the guest has the link and its name", "visible", "knownMs"],
  ["ours: the guest answers on its address", "usable", "usableMs"],
  ["ours: removed, guest and QEMU have let go", "usable", "removedMs"],
] as const;

async function bench(): Promise<void> {
  await using ours = await startHotplugArms(deadlineIn(BOOT_MS, "boot the guest"));
  const bare = await startBareHotplug(deadlineIn(BOOT_MS, "boot the bare guest"));
  const outcome = await (async () => {
    const detect = async () => ({ detectMs: await bare.cycle(deadlineIn(10_000, "bare cycle")) });
    const arms = [{ name: "bare", run: detect }, ...ours.arms];
    // The first cycle runs code that neither guest has run before.
    await interleave(arms, { rounds: 1, budgetMs: BUDGET_MS });
    const before = holdings(ours.qemuPid);
    const found = await interleave(arms, { rounds, budgetMs: BUDGET_MS });
    return { ...found, before, after: holdings(ours.qemuPid) };
  })().finally(() => bare.end());

  const detectMs = medianOf(outcome, "bare", "detectMs");
  const ratio = medianOf(outcome, "usable", "usableMs") / detectMs;
  const cells = ROWS.map(([text, arm, value]) => [
    text,
    medianOf(outcome, arm, value).toFixed(1).padStart(7),
    minimumOf(outcome, arm, value).toFixed(1).padStart(7),
    (medianOf(outcome, arm, value) / detectMs).toFixed(2).padStart(6),
  ]);
  process.stdout.write(`\n${table(["STEP", " MEDIAN", "    MIN", "x BARE"], cells)}`);
  const { before, after } = outcome;
  process.stdout.write(
    `\nQEMU's descriptors ${before.descriptors} -> ${after.descriptors}, ` +
      `RSS ${before.rssMib.toFixed(0)} -> ${after.rssMib.toFixed(0)} MiB\n`,
  );
  const path = writeResult("hotplug", {
    failures: outcome.failures.length,
    rounds: outcome.rounds,
    ratios: { hotplug_usable_over_detect: ratio },
    phases_ms: Object.fromEntries(
      ROWS.map(([, arm, value]) => [`${arm}_${value}`, medianOf(outcome, arm, value)]),
    ),
    table: { qemu_before: before, qemu_after: after },
    runs: Object.fromEntries(
      ROWS.map(([, arm, value]) => [`${arm}_${value}`, valuesOf(outcome, arm, value)]),
    ),
  });
  process.stdout.write(`hotplug_usable_over_detect ${ratio.toFixed(2)}\nwritten to ${path}\n`);
  conclude([outcome]);
}

function holdings(pid: number): { descriptors: number; rssMib: number } {
  return { descriptors: readdirSync(`/proc/${pid}/fd`).length, rssMib: memoryOf(pid).rssMib };
}

await bench();
