import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type FuzzResult, fuzz, type Target } from "./fuzz.ts";
import { targets } from "./targets/targets.ts";

/**
 * `npm run test:fuzz [-- --seconds <per target>] [--seed <first>] [<target> ...]`: prints what each target took; a finding's
 * input goes to `findings/`, where the tests take it from. Exit code 1 with findings.
 */
const { values, words } = readArguments(process.argv.slice(2));
const seconds = Number(values.get("seconds") ?? 10);
const firstSeed = Number(values.get("seed") ?? Date.now() % 2 ** 31);
const chosen = targets.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));

for (const target of chosen) {
  const result = await fuzz(target, {
    runs: Number.POSITIVE_INFINITY,
    milliseconds: seconds * 1000,
    firstSeed,
  });
  report(target, result);
}

function report({ name }: Target, { runs, refused, slowestMs, findings }: FuzzResult): void {
  const share = `${((100 * refused) / runs).toFixed(0)} % refused`;
  process.stdout.write(
    `${name.padEnd(20)} ${String(runs).padStart(9)} runs, ${share}, slowest ${slowestMs.toFixed(1)} ms, ${findings.length} findings\n`,
  );
  for (const { seed, input, problem } of findings) {
    const directory = join(import.meta.dirname, "findings", name.replaceAll(/\W+/g, "-"));
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, String(seed)), input);
    process.stdout.write(`  seed ${seed}: ${problem}\n`);
    process.exitCode = 1;
  }
}

function readArguments(args: readonly string[]): { values: Map<string, string>; words: string[] } {
  const values = new Map<string, string>();
  const words: string[] = [];
  for (let index = 0; index < args.length; index += 1) {
    const word = args[index] ?? "";
    if (word.startsWith("--")) values.set(word.slice(2), args[++index] ?? "");
    else words.push(word);
  }
  return { values, words };
}
