import { parseArgs } from "node:util";
import { table } from "../cli/table.ts";
import { step } from "../setup/step.ts";
import { deadlineIn } from "../sys/deadline.ts";
import { echo, type Growth, watchGrowth } from "../test/harness/echo.ts";
import { type TestPod, type Workloads, workloads } from "../test/harness/workload.ts";
import { startBenchNode } from "./bench-node.ts";
import { writeResult } from "./results.ts";

/**
 * `npm run bench:streams`: bytes a second out of a container, into one, and through one and back (`crictl exec`), for
 * Tapir and runc on the same node. `--mib N` is how much; the whole way back is compared byte by byte. Ends with 1 when shim
 * or guest grow by more than what a stream needs, whatever N is.
 */
const LIMIT_MS = 30 * 60_000;
/** What may be on its way at once, several times over, with the room that collectors take. */
const GROWTH_MIB = 32;
const RUNTIMES = ["runc", "tapir"] as const;

interface Rates {
  readonly out: number;
  readonly in: number;
  readonly echo: number;
}

async function rates(work: Workloads, container: string, mib: number): Promise<Rates> {
  const deadline = deadlineIn(LIMIT_MS, `carry ${mib} MiB`);
  const timed = async (script: string): Promise<number> => {
    const start = performance.now();
    const { stdout } = await work.shell(script, deadline);
    const seconds = (performance.now() - start) / 1000;
    if (Number(stdout) !== mib * 2 ** 20) throw new Error(`of ${mib} MiB, ${stdout.trim()} bytes came`);
    return mib / seconds;
  };
  const dd = `busybox dd if=/dev/zero bs=65536 count=${mib * 16} 2> /dev/null`;
  const out = await timed(`crictl exec ${container} ${dd} | wc -c`);
  const into = await timed(
    `head -c ${mib}M /dev/zero | crictl exec --interactive ${container} busybox wc -c`,
  );
  const { exact, seconds } = await echo(work, container, mib, deadline);
  if (!exact) throw new Error(`${mib} MiB did not come back as they went`);
  return { out, in: into, echo: mib / seconds };
}

async function bench(mib: number): Promise<void> {
  await using node = await startBenchNode();
  const work = workloads(node);
  const found: Partial<Record<(typeof RUNTIMES)[number], Rates>> = {};
  let growth: Growth = { shim: Number.NaN, guest: Number.NaN };
  for (const runtime of RUNTIMES) {
    await step(`${runtime}: ${mib} MiB each way`, async () => {
      const deadline = deadlineIn(LIMIT_MS, "start a pod");
      const pod: TestPod = await work.pod(runtime, deadline, {}, runtime);
      const container = await pod.start("streams", {}, deadline);
      // What runs first is compiled, cached, translated.
      await rates(work, container, 1);
      const carrying = rates(work, container, mib);
      if (runtime === "runc") found.runc = await carrying;
      else ({ result: found.tapir, growth } = await watchGrowth(node, pod.id, carrying));
      await node.crictl.rmp(pod.id, deadline);
      return undefined;
    });
  }
  const { runc, tapir } = found;
  if (runc === undefined || tapir === undefined) throw new Error("not all was measured");
  const ways = ["out", "in", "echo"] as const;
  const ratio = { out: tapir.out / runc.out, in: tapir.in / runc.in, echo: tapir.echo / runc.echo };
  const rows = ways.map((way) => [
    way,
    runc[way].toFixed(1).padStart(10),
    tapir[way].toFixed(1).padStart(11),
    ratio[way].toFixed(4).padStart(10),
  ]);
  process.stdout.write(`\n${table(["WAY", "RUNC MiB/s", "TAPIR MiB/s", "TAPIR/RUNC"], rows)}`);
  process.stdout.write(
    `\nmemory: shim +${growth.shim.toFixed(1)} MiB, guest +${growth.guest.toFixed(1)} MiB\n`,
  );
  const grows = growth.shim > GROWTH_MIB || growth.guest > GROWTH_MIB;
  if (grows) {
    process.stdout.write(`more than ${GROWTH_MIB} MiB: what is carried stays somewhere\n`);
    process.exitCode = 1;
  }
  const path = writeResult("streams", {
    failures: grows ? 1 : 0,
    ratios: ratio,
    table: { runc: { ...runc }, tapir: { ...tapir }, growth_mib: { ...growth }, carried_mib: { each: mib } },
  });
  process.stdout.write(`written to ${path}\n`);
}

const { values } = parseArgs({ options: { mib: { type: "string", default: "64" } } });
const mib = Number(values.mib);
if (!Number.isInteger(mib) || mib < 1) throw new Error(`--mib ${values.mib} is no number of MiB`);
await bench(mib);
