import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { fuzz, outcomeOf } from "./fuzz.ts";
import { mutate } from "./mutate.ts";
import { randomFrom } from "./random.ts";
import { targets } from "./targets/targets.ts";

/** The same in each run, and others in each run. */
const SEEDS = [1, Date.now() % 2 ** 31];
const LIMITS = { runs: 2000, milliseconds: 1500 };

for (const target of targets) {
  test(`${target.name}: any bytes are taken or refused with an error of ours`, async (t) => {
    const outcomes = await Promise.all(target.seeds.map((seed) => outcomeOf(target, Buffer.from(seed))));
    t.true(outcomes.includes("taken"), JSON.stringify(outcomes));
    for (const firstSeed of SEEDS) {
      const { runs, refused, findings } = await fuzz(target, { ...LIMITS, firstSeed });
      t.log(`${runs} runs from seed ${firstSeed}, ${refused} refused`);
      t.deepEqual(
        findings.map(({ seed, problem }) => `seed ${seed}: ${problem}`),
        [],
      );
    }
  });

  test(`${target.name}: what was found once`, async (t) => {
    const directory = join(import.meta.dirname, "findings", target.name.replaceAll(/\W+/g, "-"));
    const files = existsSync(directory) ? readdirSync(directory) : [];
    for (const file of files) {
      const outcome = await outcomeOf(target, readFileSync(join(directory, file)));
      t.true(outcome === "taken" || outcome === "refused", `${file}: ${JSON.stringify(outcome)}`);
    }
    t.pass();
  });
}

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
