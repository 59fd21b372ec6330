import { parseArgs } from "node:util";

/** `--rounds N` of a benchmark's command line; the process ends with a sentence when it says something else. */
export function readRounds(usual: number): number {
  try {
    const { values, positionals } = parseArgs({
      options: { rounds: { type: "string" } },
      allowPositionals: true,
    });
    const given = values.rounds ?? positionals[0];
    if (given === undefined) return usual;
    if (/^[1-9]\d{0,2}$/.test(given)) return Number(given);
    throw new Error(`${given} is no number of rounds`);
  } catch (error) {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : error}; use --rounds N\n`);
    process.exit(2);
  }
}
