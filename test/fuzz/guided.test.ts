import test from "ava";
import { startRecorder } from "./coverage.ts";
import { fuzz } from "./fuzz.ts";
import { fuzzGuided } from "./guided.ts";

// Before what it is to record has run; once in a process.
const take = startRecorder((url) => url === import.meta.url);

/** Letters that have to come in order: only who sees how far an input gets will find the last one. */
const deep = {
  name: "deep",
  seeds: [Buffer.from(".")],
  words: ["a", "b", "c", "d", "e"],
  run(input: Buffer): void {
    const text = input.toString("latin1");
    if (text[0] !== "a") return;
    if (text[1] !== "b") return;
    if (text[2] !== "c") return;
    if (text[3] !== "d") return;
    if (text[4] === "e") throw new RangeError("found");
  },
};
const LIMITS = { runs: 50_000, milliseconds: 40_000, firstSeed: 4 };

test("what the guided fuzzer finds step by step, the other one does not", async (t) => {
  const { findings, corpus, characters, seedCharacters, runs } = await fuzzGuided(deep, LIMITS, take);
  t.log(`${runs} runs, ${corpus.length} kept`);
  t.regex(findings[0]?.problem ?? "", /RangeError: found/);
  t.is(findings[0]?.input.subarray(0, 5).toString(), "abcde");
  t.true(characters > seedCharacters);
  t.true(corpus.length >= 4, `${corpus.length}`);
  const blind = await fuzz(deep, { ...LIMITS, runs });
  t.deepEqual(blind.findings, []);
});

test("a corpus is where the next run begins; what brings nothing new is left out of it", async (t) => {
  const step = Buffer.from("ab.");
  const { corpus } = await fuzzGuided(deep, { ...LIMITS, runs: 0 }, take, [step, step, Buffer.from("b")]);
  t.deepEqual(corpus, [step]);
});
