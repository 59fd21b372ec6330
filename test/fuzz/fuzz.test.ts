import test from "ava";
import { fuzz, outcomeOf } from "./fuzz.ts";
import { fileName, keptNames, readCorpus, readFindings } from "./kept.ts";
import { mutate } from "./mutate.ts";
import { randomFrom } from "./random.ts";
import { targets } from "./targets/targets.ts";

/** The same in each run, and others in each run. */
const SEEDS = [1, Date.now() % 2 ** 31];
const LIMITS = { runs: 2000, milliseconds: 1500 };

for (const target of targets) {
  const corpus = readCorpus(target);

  test(`${target.name}: any bytes are taken or refused with an error of ours`, async (t) => {
    const outcomes = await Promise.all(target.seeds.map((seed) => outcomeOf(target, Buffer.from(seed))));
    t.true(outcomes.includes("taken"), JSON.stringify(outcomes));
    for (const firstSeed of SEEDS) {
      const { runs, refused, findings } = await fuzz(target, { ...LIMITS, firstSeed }, corpus);
      t.log(`${runs} runs from seed ${firstSeed}, ${refused} refused`);
      t.deepEqual(
        findings.map(({ seed, problem }) => `seed ${seed}: ${problem}`),
        [],
      );
    }
  });

  test(`${target.name}: what was found once, and what the guided fuzzer kept`, async (t) => {
    const kept = corpus.map((input, index) => ({ file: `corpus ${index}`, input }));
    for (const { file, input } of [...readFindings(target), ...kept]) {
      const outcome = await outcomeOf(target, input);
      t.true(outcome === "taken" || outcome === "refused", `${file}: ${JSON.stringify(outcome)}`);
    }
    t.pass();
  });
}

test("findings and corpora belong to targets that are there", (t) => {
  const known = targets.map(fileName);
  t.is(new Set(known).size, targets.length);
  const kept = keptNames();
  t.true(kept.length > 0);
  t.deepEqual(
    kept.filter((name) => !known.includes(name)),
    [],
  );
});

test("a seed repeats its input; other seeds have others", (t) => {
  const inputs = [1, 1, 2].map((seed) =>
    mutate(randomFrom(seed), [Buffer.from("hello world")], ["word"]).toString(),
  );
  t.is(inputs[0], inputs[1]);
  t.not(inputs[0], inputs[2]);
});

test("an error that is not ours is a finding, with the seed that repeats it", async (t) => {
  const broken = {
    name: "broken",
    seeds: [Buffer.from("abc")],
    words: [],
    run(input: Buffer): void {
      input.readUInt32LE(0);
    },
  };
  const { findings } = await fuzz(broken, { runs: 500, milliseconds: 1000, firstSeed: 7 });
  const [first] = findings;
  t.regex(first?.problem ?? "", /RangeError/);
  t.deepEqual(mutate(randomFrom(first?.seed ?? 0), broken.seeds, []), first?.input);
});
