import { createHash } from "node:crypto";
import {
  appendFileSync,
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { errnoOf, reasonOf, TapirError, wrapError } from "../../sys/error.ts";
import { allocatedIn } from "../../sys/memory-file.ts";
import { Code } from "../../sys/status.ts";
import { type Manifest, readManifest, writeManifest } from "./manifest.ts";

/** The files of a template, in a directory named after its key. */
export const MEMORY_FILE = "memory";
export const STATE_FILE = "state";
/** One byte per restored guest. */
const HITS_FILE = "hits";
const KEY = /^[0-9a-f]{32}$/;

/** A template that can be restored. Its descriptors keep it whole, also when it is removed meanwhile. */
export interface OpenTemplate extends Disposable {
  readonly manifest: Manifest;
  readonly memoryFd: number;
  readonly stateFd: number;
  /** How many guests were restored from it. */
  readonly hits: number;
}

/** Opens the template of `key` and looks whether it is whole. Errors: NOT_FOUND, DATA_LOSS. */
export function openTemplate(store: string, key: string): OpenTemplate {
  const directory = join(store, key);
  const fds: number[] = [];
  const open = (name: string, flags: string): number => {
    const fd = openSync(join(directory, name), flags);
    fds.push(fd);
    return fd;
  };
  try {
    const manifest = readManifest(directory);
    // QEMU opens it for writing by this descriptor, also when it maps it privately.
    const memoryFd = open(MEMORY_FILE, "r+");
    const stateFd = open(STATE_FILE, "r");
    const fault = faultOf(manifest, fstatSync(memoryFd), join(directory, STATE_FILE));
    if (fault !== undefined) throw damaged(directory, fault);
    const hits = hitsIn(directory)?.size ?? 0;
    return { manifest, memoryFd, stateFd, hits, [Symbol.dispose]: () => fds.forEach(closeFd) };
  } catch (error) {
    fds.forEach(closeFd);
    throw wrapError(error, { operation: "open", object: `template ${directory}` });
  }
}

/** The state is small enough to be read whole; of the memory, size and holes have to do. */
function faultOf({ memory, state }: Manifest, found: Stats, statePath: string): string | undefined {
  if (found.size !== memory.bytes) return "its memory file has another size";
  // More of it than was saved is no fault: a guest that maps the file fills the holes that it reads, with zeros.
  if (allocatedIn(found) < memory.allocatedBytes) return "its memory file has more holes";
  const content = readFileSync(statePath);
  if (content.length !== state.bytes) return "its state file has another size";
  return sha256(content) === state.sha256 ? undefined : "its state file has another content";
}

export function sha256(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/** Makes the files in `from` the template of the manifest's key; an older one of that key goes. */
export function publishTemplate(store: string, from: string, manifest: Manifest): void {
  const directory = join(store, manifest.key);
  removeTemplate(store, manifest.key);
  mkdirSync(directory, { mode: 0o700 });
  for (const name of [MEMORY_FILE, STATE_FILE]) renameSync(join(from, name), join(directory, name));
  writeManifest(directory, manifest);
}

/** Idempotent. Guests that were restored from it live on. */
export function removeTemplate(store: string, key: string): void {
  rmSync(join(store, key), { recursive: true, force: true });
}

/** Never throws: no guest is worth less because it was not counted. */
export function countHit(store: string, key: string): void {
  try {
    appendFileSync(join(store, key, HITS_FILE), ".", { mode: 0o600 });
  } catch {
    // Removed meanwhile, or tmpfs is full.
  }
}

/** A template, or what is left of one. */
export interface StoredTemplate {
  readonly key: string;
  readonly hits: number;
  /** Milliseconds since the epoch: its last restore, else when it was made. */
  readonly usedAt: number;
  readonly manifest: Manifest | undefined;
}

/** What is wrong with the files of a template, in a few words; undefined when it can be restored. */
export function damageOf(store: string, key: string): string | undefined {
  try {
    openTemplate(store, key)[Symbol.dispose]();
    return undefined;
  } catch (error) {
    return errnoOf(error) === "ENOENT" ? "a file of it is not there" : reasonOf(rootOf(error));
  }
}

/** The innermost cause. */
function rootOf(thrown: unknown): unknown {
  return thrown instanceof Error && thrown.cause !== undefined ? rootOf(thrown.cause) : thrown;
}

export function listTemplates(store: string): StoredTemplate[] {
  return keysIn(store).map((key) => {
    const directory = join(store, key);
    const manifest = manifestOf(directory);
    const hits = hitsIn(directory);
    return { key, hits: hits?.size ?? 0, usedAt: hits?.mtimeMs ?? manifest?.createdAt ?? 0, manifest };
  });
}

function hitsIn(directory: string): Stats | undefined {
  return statSync(join(directory, HITS_FILE), { throwIfNoEntry: false });
}

function keysIn(store: string): string[] {
  try {
    return readdirSync(store).filter((name) => KEY.test(name));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

function manifestOf(directory: string): Manifest | undefined {
  try {
    return readManifest(directory);
  } catch {
    return undefined;
  }
}

function closeFd(fd: number): void {
  closeSync(fd);
}

function damaged(directory: string, cause: string): TapirError {
  return new TapirError({ code: Code.DATA_LOSS, operation: "use", object: `template ${directory}`, cause });
}
