import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

interface Memory {
  readonly question: string;
  readonly answer: unknown;
}

/**
 * The answer that was remembered under `name` for exactly this question; undefined when there is none. The
 * file is ours, but a damaged one only costs asking again.
 */
export function readRemembered<T>(cacheDir: string, name: string, question: string): T | undefined {
  try {
    const memory = JSON.parse(readFileSync(memoryPath(cacheDir, name), "utf8")) as Memory;
    return memory.question === question ? (memory.answer as T) : undefined;
  } catch {
    return undefined;
  }
}

/** Remembers one answer under `name`, in place of the one before. */
export function remember(cacheDir: string, name: string, question: string, answer: unknown): void {
  mkdirSync(cacheDir, { recursive: true });
  const path = memoryPath(cacheDir, name);
  const memory: Memory = { question, answer };
  writeFileSync(`${path}.${process.pid}`, JSON.stringify(memory));
  renameSync(`${path}.${process.pid}`, path);
}

function memoryPath(cacheDir: string, name: string): string {
  return join(cacheDir, `${name}.json`);
}
