import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TapirError, wrapError } from "../../sys/error.ts";
import { replaceFile } from "../../sys/replace-file.ts";
import { Code } from "../../sys/status.ts";
import type { KeyParts } from "./key.ts";

/** `manifest.json` of a template. It is written last: a template without it is none. */
export interface Manifest {
  readonly key: string;
  readonly parts: KeyParts;
  /** Paths of the files whose identity is in the key. */
  readonly files: Readonly<Record<string, string>>;
  readonly qemuVersion: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** How long booting, preparing and saving took. */
  readonly buildMs: number;
  readonly memory: { readonly bytes: number; readonly allocatedBytes: number };
  readonly state: { readonly bytes: number; readonly sha256: string };
  /** What the guest's CLOCK_MONOTONIC read when it was stopped, in nanoseconds: it goes on from there. */
  readonly monotonicNanoseconds: string;
}

const FILE = "manifest.json";

export function writeManifest(directory: string, manifest: Manifest): void {
  replaceFile(join(directory, FILE), `${JSON.stringify(manifest, undefined, 2)}\n`, 0o600);
}

/** Errors: NOT_FOUND (no template), DATA_LOSS (not a manifest). */
export function readManifest(directory: string): Manifest {
  const object = `template ${directory}`;
  let text: string;
  try {
    text = readFileSync(join(directory, FILE), "utf8");
  } catch (error) {
    throw wrapError(error, { operation: "read", object });
  }
  const manifest = parse(text);
  if (isManifest(manifest)) return manifest;
  throw new TapirError({ code: Code.DATA_LOSS, operation: "read", object, cause: `${FILE} is damaged` });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** We wrote it, in one go: what could be wrong with it is that another version of us did. */
function isManifest(value: unknown): value is Manifest {
  if (!isRecord(value)) return false;
  const { key, parts, files, memory, state } = value;
  return (
    typeof key === "string" &&
    isRecord(parts) &&
    isRecord(files) &&
    isRecord(memory) &&
    typeof memory.bytes === "number" &&
    typeof memory.allocatedBytes === "number" &&
    isRecord(state) &&
    typeof state.bytes === "number" &&
    typeof state.sha256 === "string" &&
    typeof value.createdAt === "number" &&
    typeof value.monotonicNanoseconds === "string" &&
    /^\d+$/.test(value.monotonicNanoseconds)
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
