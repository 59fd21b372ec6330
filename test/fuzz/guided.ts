import { type CodeMap, openCodeMap, type Recorder } from "./coverage.ts";
import { type FuzzLimits, type FuzzResult, MAX_FINDINGS, outcomeOf, type Target, tryInput } from "./fuzz.ts";
import { mutate } from "./mutate.ts";
import { randomFrom } from "./random.ts";

export interface GuidedResult extends FuzzResult {
  /** Inputs that are in none of the seeds' ways: each runs code that none before it ran, the shortest first. */
  readonly corpus: readonly Buffer[];
  /** Characters of code that the seeds run, and that all inputs together did. */
  readonly seedCharacters: number;
  readonly characters: number;
}

/** To ask what ran takes longer than most inputs do: many are asked about together, and those of a good batch again. */
const BATCH = 64;
/** The targets' own limit is of the same size. */
const MAX_KEPT_BYTES = 16 << 10;

/**
 * As `fuzz`, and an input that ran code which none had run before is mutated from then on like the target's seeds. `corpus` is
 * what earlier runs found so.
 */
export async function fuzzGuided(
  target: Target,
  limits: FuzzLimits,
  take: Recorder,
  corpus: readonly Buffer[] = [],
): Promise<GuidedResult> {
  const map = openCodeMap();
  const findings: FuzzResult["findings"][number][] = [];
  const endMs = performance.now() + limits.milliseconds;
  const random = randomFrom(limits.firstSeed);
  let [runs, refused, slowestMs] = [0, 0, 0];
  const kept: Buffer[] = [];

  for (const seed of target.seeds) await learnFrom(map, target, seed, take);
  const seedCharacters = map.characters;
  for (const input of corpus) if (await learnFrom(map, target, input, take)) kept.push(input);

  while (runs < limits.runs && performance.now() < endMs && findings.length < MAX_FINDINGS) {
    const pool = [...target.seeds, ...kept];
    const batch = Array.from({ length: BATCH }, () => mutate(random, pool, target.words));
    take();
    for (const input of batch) {
      const { outcome, ms, problem } = await tryInput(target, input);
      slowestMs = Math.max(slowestMs, ms);
      if (outcome === "refused") refused += 1;
      if (problem !== undefined) findings.push({ seed: limits.firstSeed + runs, input, problem });
      runs += 1;
    }
    const ran = take();
    if (!map.isNew(ran)) continue;
    for (const input of batch)
      if (input.length <= MAX_KEPT_BYTES && (await learnFrom(map, target, input, take)))
        kept.push(Buffer.from(input));
    // What only came about in this order is not looked for again.
    map.learn(ran);
  }
  const { characters } = map;
  return {
    ...{ runs, refused, slowestMs, findings, seedCharacters, characters },
    corpus: await smallest(target, kept, take),
  };
}

/** Whether it runs code that the map did not have. */
async function learnFrom(map: CodeMap, target: Target, input: Buffer, take: Recorder): Promise<boolean> {
  take();
  await outcomeOf(target, input);
  const ran = take();
  if (!map.isNew(ran)) return false;
  map.learn(ran);
  return true;
}

/** Those of `inputs` that are needed for the code that all of them run, short ones before long ones. */
async function smallest(target: Target, inputs: readonly Buffer[], take: Recorder): Promise<Buffer[]> {
  const map = openCodeMap();
  const needed: Buffer[] = [];
  for (const seed of target.seeds) await learnFrom(map, target, seed, take);
  for (const input of inputs.toSorted((a, b) => a.length - b.length))
    if (await learnFrom(map, target, input, take)) needed.push(input);
  return needed;
}
