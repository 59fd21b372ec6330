/** Runs one named step of the build and prints its name and duration in seconds. */
export async function step<T>(name: string, work: () => T | Promise<T>): Promise<T> {
  const started = performance.now();
  process.stdout.write(`guest: ${name} ...`);
  try {
    const result = await work();
    process.stdout.write(` ${seconds(started)}\n`);
    return result;
  } catch (error) {
    process.stdout.write(` failed after ${seconds(started)}\n`);
    throw error;
  }
}

/** Prints one line of the build's progress. */
export function report(line: string): void {
  process.stdout.write(`guest: ${line}\n`);
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}
