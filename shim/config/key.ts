/** What every key of the configuration says about itself. */
interface Common<Value> {
  readonly default: Value;
  /** One line for the operator. */
  readonly doc: string;
  /** "MiB", "s": printed after the range. */
  readonly unit?: string;
  /** What Kata Containers calls it, when that differs: used for "did you mean". */
  readonly kata?: string;
  /** Describes the node, not a pod: an annotation never changes it. */
  readonly nodeWide?: true;
}

export interface IntegerKey extends Common<number> {
  readonly kind: "integer";
  readonly minimum: number;
  readonly maximum: number;
}
export interface BooleanKey extends Common<boolean> {
  readonly kind: "boolean";
}
export interface ChoiceKey<Value extends string = string> extends Common<Value> {
  readonly kind: "choice";
  readonly values: readonly Value[];
}
/** An absolute path. */
export interface PathKey extends Common<string> {
  readonly kind: "path";
  /** May be "". */
  readonly optional?: true;
}
/** One string in the file, a list of words in the program; double quotes keep blanks together. */
export interface WordsKey extends Common<readonly string[]> {
  readonly kind: "words";
  readonly maximumLength: number;
}
/** A list of regular expressions, each matched against the whole name. */
export interface PatternsKey extends Common<readonly string[]> {
  readonly kind: "patterns";
}
/** A list of absolute paths that may hold `*`, `?`, `**`. */
export interface GlobsKey extends Common<readonly string[]> {
  readonly kind: "globs";
}

export type Key = IntegerKey | BooleanKey | ChoiceKey | PathKey | WordsKey | PatternsKey | GlobsKey;
/** What a key holds once it was checked. */
export type Value = Key["default"];

type Details<K extends Key> = Omit<K, "kind">;

export const integer = (details: Details<IntegerKey>): IntegerKey => ({ kind: "integer", ...details });
export const boolean = (details: Details<BooleanKey>): BooleanKey => ({ kind: "boolean", ...details });
export const path = (details: Details<PathKey>): PathKey => ({ kind: "path", ...details });
export const words = (details: Details<WordsKey>): WordsKey => ({ kind: "words", ...details });
export const patterns = (details: Details<PatternsKey>): PatternsKey => ({ kind: "patterns", ...details });
export const globs = (details: Details<GlobsKey>): GlobsKey => ({ kind: "globs", ...details });
export function choice<const V extends string>(details: Details<ChoiceKey<V>>): ChoiceKey<V> {
  return { kind: "choice", ...details };
}

/** Type and range in words: "an integer of 64 to 1048576 (MiB)". */
export function expectation(key: Key): string {
  switch (key.kind) {
    case "integer": {
      const unit = key.unit === undefined ? "" : ` (${key.unit})`;
      return `an integer of ${key.minimum} to ${key.maximum}${unit}`;
    }
    case "boolean":
      return "true or false";
    case "choice":
      return key.values.map((value) => JSON.stringify(value)).join(" or ");
    case "path":
      return `an absolute path without .., // or / at its end${key.optional ? ', or ""' : ""}`;
    case "words":
      return `a string of at most ${key.maximumLength} characters`;
    case "patterns":
      return "a list of regular expressions";
    case "globs":
      return "a list of absolute paths (*, ? and ** allowed)";
  }
}
