import type { Random } from "./random.ts";

/** Lengths and counts that break assumptions, little and big endian. */
const NUMBERS = [0, 1, 2, 3, 4, 7, 8, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];
const MAX_BYTES = 64 << 10;

/** One to eight changes of a seed: bits, bytes, numbers, words, pieces taken out, doubled, or put in from other seeds and words. */
export function mutate(random: Random, seeds: readonly Buffer[], words: readonly string[]): Buffer {
  let bytes: Buffer = Buffer.from(random.pick(seeds));
  // A format of words breaks with nearly every other change, and then only its parser is tried.
  const changes = words.length > 0 && random.below(2) === 0 ? [replaceToken] : CHANGES;
  for (let rounds = 1 + random.below(8); rounds > 0; rounds -= 1) {
    bytes = random.pick(changes)(bytes, random, seeds, words).subarray(0, MAX_BYTES);
  }
  return bytes;
}

type Change = (bytes: Buffer, random: Random, seeds: readonly Buffer[], words: readonly string[]) => Buffer;

const flipBit: Change = (bytes, random) => {
  if (bytes.length === 0) return bytes;
  const place = random.below(bytes.length);
  bytes[place] = (bytes[place] ?? 0) ^ (1 << random.below(8));
  return bytes;
};

const setByte: Change = (bytes, random) => {
  if (bytes.length > 0) bytes[random.below(bytes.length)] = random.below(256);
  return bytes;
};

const setNumber: Change = (bytes, random) => {
  const width = random.pick([2, 4]);
  if (bytes.length < width) return bytes;
  const value = random.pick(NUMBERS) % 2 ** (8 * width);
  const place = random.below(bytes.length - width + 1);
  if (random.below(2) === 0) bytes.writeUIntLE(value, place, width);
  else bytes.writeUIntBE(value, place, width);
  return bytes;
};

const cut: Change = (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1));

const takeOut: Change = (bytes, random) => {
  const [start, end] = range(bytes, random);
  return Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]);
};

const double: Change = (bytes, random) => {
  const [start, end] = range(bytes, random);
  const piece = bytes.subarray(start, end);
  const times = random.pick([1, 1, 2, 50]);
  return Buffer.concat([
    bytes.subarray(0, end),
    ...new Array<Buffer>(times).fill(piece),
    bytes.subarray(end),
  ]);
};

const putIn = (bytes: Buffer, random: Random, piece: Buffer): Buffer => {
  const place = random.below(bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, place), piece, bytes.subarray(place)]);
};

const putWord: Change = (bytes, random, _, words) =>
  words.length === 0 ? bytes : putIn(bytes, random, Buffer.from(random.pick(words)));

const splice: Change = (bytes, random, seeds) => {
  const other = random.pick(seeds);
  const [start, end] = range(other, random);
  return putIn(bytes, random, other.subarray(start, end));
};

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|\b[a-z]+\b/g;

/** A word, number or text becomes a word of the format or another one of the input: what is still well-formed gets further. */
const replaceToken: Change = (bytes, random, _, words) => {
  const text = bytes.toString("latin1");
  const tokens = [...text.matchAll(TOKEN)];
  if (tokens.length === 0) return bytes;
  const { 0: old, index } = random.pick(tokens);
  const word = random.pick([...words, random.pick(tokens)[0]]);
  return Buffer.concat([bytes.subarray(0, index), Buffer.from(word), bytes.subarray(index + old.length)]);
};

function range(bytes: Buffer, random: Random): [number, number] {
  const start = random.below(bytes.length + 1);
  return [start, start + random.below(bytes.length - start + 1)];
}

const CHANGES: readonly Change[] = [
  flipBit,
  setByte,
  setNumber,
  cut,
  takeOut,
  double,
  putWord,
  splice,
  replaceToken,
];
