import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Target } from "./fuzz.ts";

/**
 * Inputs that stay: `findings/<target>/` has what was a finding once, a file each, `corpus/<target>.txt` what the guided
 * fuzzer kept, a line of Base64 each.
 */
type Named = Pick<Target, "name">;

export const fileName = ({ name }: Named): string => name.replaceAll(/\W+/g, "-");
const findingsOf = (target: Named): string => join(import.meta.dirname, "findings", fileName(target));
const corpusOf = (target: Named): string => join(import.meta.dirname, "corpus", `${fileName(target)}.txt`);

export function readFindings(target: Named): { readonly file: string; readonly input: Buffer }[] {
  const directory = findingsOf(target);
  const files = existsSync(directory) ? readdirSync(directory).toSorted() : [];
  return files.map((file) => ({ file, input: readFileSync(join(directory, file)) }));
}

export function keepFinding(target: Named, name: string, input: Buffer): void {
  mkdirSync(findingsOf(target), { recursive: true });
  writeFileSync(join(findingsOf(target), name), input);
}

export function readCorpus(target: Named): Buffer[] {
  const file = corpusOf(target);
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split("\n").filter(Boolean);
  return lines.map((line) => Buffer.from(line, "base64"));
}

export function keepCorpus(target: Named, corpus: readonly Buffer[]): void {
  const lines = corpus.map((input) => `${input.toString("base64")}\n`);
  mkdirSync(join(import.meta.dirname, "corpus"), { recursive: true });
  writeFileSync(corpusOf(target), lines.join(""));
}

/** Of which targets there is something. */
export function keptNames(): string[] {
  return ["findings", "corpus"].flatMap((folder) =>
    readdirSync(join(import.meta.dirname, folder)).map((name) => name.replace(/\.txt$/, "")),
  );
}
