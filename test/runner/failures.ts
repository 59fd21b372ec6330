/** One thing that went wrong, told again at the end of the report. */
export interface Failure {
  readonly title: string;
  /** Of the test, from the project's root; undefined where none is at fault alone. */
  readonly file: string | undefined;
  readonly text: readonly string[];
}

interface Part {
  readonly head: string;
  readonly body: string[];
}

const RULE = "  ─";
const FAILED = /^ {2}✘ (?:\[fail\]: )?(.*)$/;
const UNEXPECTED = /^ {2}((?:Uncaught exception|Unhandled rejection) in .*)$/;
const OTHER_TEST = /^ {2}(?:✔|- \[(?:skip|todo)\]) /;

/**
 * Reads the failures out of ava's default report: first comes a line for each test and, between them, what else happened
 * (a worker that crashed, a time-out); below the first rule each failed test with its reason, under its title.
 */
export function readFailures(output: readonly string[], files: readonly string[]): readonly Failure[] {
  const rule = output.indexOf(RULE);
  const told = partsOf(output.slice(0, rule === -1 ? undefined : rule), (line) => {
    if (OTHER_TEST.test(line)) return null;
    return (line.match(FAILED) ?? line.match(UNEXPECTED))?.[1];
  });
  // A line of the first half is the title and, for most, the first words of the reason.
  const waiting = new Set(told.map(({ head }) => head));
  const reasons = partsOf(rule === -1 ? [] : output.slice(rule), (line) => {
    if (line === RULE) return null;
    const title = line.match(/^ {2}(\S.*)$/)?.[1];
    const head = title && [...waiting].find((one) => one === title || one.startsWith(`${title} `));
    if (!head) return undefined;
    waiting.delete(head);
    return title;
  });
  return told.map(({ head, body }) => {
    const reason = reasons.find((one) => one.head === head || head.startsWith(`${one.head} `));
    const title = reason?.head ?? head;
    return { title, file: fileOf(title, files), text: trimmed([...body, ...(reason?.body ?? [])]) };
  });
}

/** Cuts lines into parts, each below its head. `headOf`: undefined for a line of the part, null for one that ends it. */
function partsOf(lines: readonly string[], headOf: (line: string) => string | null | undefined): Part[] {
  const parts: Part[] = [];
  let open: Part | undefined;
  for (const line of lines) {
    const head = headOf(line);
    if (head === undefined) open?.body.push(line);
    else open = head === null ? undefined : { head, body: [] };
    if (open !== undefined && open !== parts.at(-1)) parts.push(open);
  }
  return parts;
}

/** ava begins a title with the folders and the name of its file, without those called `test`; other lines name the file. */
function fileOf(title: string, files: readonly string[]): string | undefined {
  const scores = files.map((file) => {
    if (title.includes(file)) return { file, score: file.length };
    const names = file
      .replace(/\.test\.ts$/, "")
      .split("/")
      .filter((name) => name !== "test");
    const prefixes = names.map((_, at) => names.slice(at).join(" › "));
    const prefix = prefixes.find((one) => title.startsWith(`${one} › `));
    return { file, score: prefix?.length ?? 0 };
  });
  const best = scores.sort((left, right) => right.score - left.score)[0];
  return best !== undefined && best.score > 0 ? best.file : undefined;
}

function trimmed(lines: readonly string[]): readonly string[] {
  const first = lines.findIndex((line) => line.trim() !== "");
  const last = lines.findLastIndex((line) => line.trim() !== "");
  return first === -1 ? [] : lines.slice(first, last + 1).map((line) => line.trimEnd());
}
