import { parseArgs } from "node:util";
import { startRecorder } from "./coverage.ts";
import { type FuzzResult, fuzz, type Target } from "./fuzz.ts";
import { fuzzGuided } from "./guided.ts";
import { keepCorpus, keepFinding, readCorpus } from "./kept.ts";

/**
 * `npm run test:fuzz [-- --seconds <per target>] [--seed <first>] [--guided] [<target> ...]`: prints what each target took; a
 * finding's input goes to `findings/`, where the tests take it from. `--guided`: by what code each input runs; what is needed
 * for all that was reached goes to `corpus/`. Exit code 1 with findings.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "10" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
    guided: { type: "boolean", default: false },
  },
});
const limits = {
  runs: Number.POSITIVE_INFINITY,
  milliseconds: Number(values.seconds) * 1000,
  firstSeed: Number(values.seed),
};
// Before the targets are there: what is compiled without it is not recorded.
const take = values.guided ? startRecorder() : undefined;
const { targets } = await import("./targets/targets.ts");
const chosen = targets.filter(
  ({ name }) => positionals.length === 0 || positionals.some((word) => name.includes(word)),
);

for (const target of chosen) {
  if (take !== undefined) {
    const result = await fuzzGuided(target, limits, take, readCorpus(target));
    keepCorpus(target, result.corpus);
    const { seedCharacters, characters, corpus } = result;
    report(target, result, `, ${seedCharacters} → ${characters} characters of code, ${corpus.length} kept`);
  } else report(target, await fuzz(target, limits, readCorpus(target)));
}

function report(target: Target, { runs, refused, slowestMs, findings }: FuzzResult, more = ""): void {
  const share = `${((100 * refused) / runs).toFixed(0)} % refused`;
  process.stdout.write(
    `${target.name.padEnd(20)} ${String(runs).padStart(9)} runs, ${share}, slowest ${slowestMs.toFixed(1)} ms, ${findings.length} findings${more}\n`,
  );
  for (const { seed, input, problem } of findings) {
    keepFinding(target, String(seed), input);
    process.stdout.write(`  seed ${seed}: ${problem}\n`);
    process.exitCode = 1;
  }
}
