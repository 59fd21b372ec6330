const SPINNER_MS = 200;
const LINE_MS = 10_000;

/** What a step has to tell besides its duration: "cached", a version. */
export type StepResult = string | undefined;

const running = new Map<string, number>();
let ticker: NodeJS.Timeout | undefined;

/**
 * Runs one step of the set-up and prints one line with its duration. Steps may run side by side. What takes long
 * shows life: a line with the seconds that is written over on a terminal, a new line every ten seconds elsewhere. A step that ends because `signal` aborted was not the one that failed.
 */
export async function step(
  name: string,
  work: () => Promise<StepResult>,
  signal?: AbortSignal,
): Promise<void> {
  const started = performance.now();
  running.set(name, started);
  ticker ??= setInterval(showRunning, process.stdout.isTTY ? SPINNER_MS : LINE_MS);
  let result: StepResult;
  try {
    result = await work();
  } catch (error) {
    finish(name, `  ${signal?.aborted ? "stopped" : "FAILED"}  ${name}  ${since(started)}`);
    throw error;
  }
  finish(name, `  ok  ${name}  ${since(started)}${result === undefined ? "" : `  (${result})`}`);
}

function finish(name: string, line: string): void {
  running.delete(name);
  if (running.size === 0) {
    clearInterval(ticker);
    ticker = undefined;
  }
  process.stdout.write(`${process.stdout.isTTY ? "\r\x1b[K" : ""}${line}\n`);
}

function showRunning(): void {
  const text = [...running].map(([name, started]) => `${name}  ${since(started)}`).join(", ");
  process.stdout.write(process.stdout.isTTY ? `\r\x1b[K  ... ${text}` : `  ... ${text}\n`);
}

/** "0.2 s" since a moment of `performance.now()`. */
export function since(started: number): string {
  return `${((performance.now() - started) / 1000).toFixed(1)} s`;
}
