import { parseArgs } from "node:util";
import { runBurst } from "./burst.ts";
import { runSoak } from "./soak.ts";

/**
 * `npm run test:soak [-- <lives>]`: lives of pods, 1,000 unless told otherwise, beside one that lives on; prints how what is
 * left grows. `--lanes 3`: so many at a time (memory is judged by 200 rounds and more, so by five lanes at most of 1,000 lives);
 * `--minutes 60`: no new ones after that. `--burst 24` instead: so many pods that start at once. Exit code 0 when nothing grows
 * or is left.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    lanes: { type: "string", default: "1" },
    minutes: { type: "string", default: "Infinity" },
    burst: { type: "string" },
  },
});
const print = (text: string): boolean => process.stdout.write(`${text}\n`);

const good =
  values.burst === undefined
    ? await runSoak({
        lives: Number(positionals[0] ?? 1000),
        lanes: Number(values.lanes),
        minutes: Number(values.minutes),
        print,
      })
    : await runBurst(Number(values.burst), print);
process.exitCode = good ? 0 : 1;
