import { TapirError } from "../../../sys/error.ts";
import { Code } from "../../../sys/status.ts";

/**
 * What a shim and the cache server say to each other over one connection, a line of JSON each:
 *
 * shim    {"take": key}
 * server  {"clone": ...} with the descriptors of monitor, console and stderr, or {"none": why}
 * shim    {"taken": true}    the clone is announced in its ledger
 * server  {"yours": true}    the server's ledger has forgotten it
 *
 * Whoever sees the connection end before the last line knows that the clone is to be killed, and by whom: by both.
 */
export interface TakeRequest {
  readonly take: string;
}

/** What an operator asks instead; the server answers {"state": ...}. */
export const STATE_REQUEST = { state: true } as const;

/** What a server has and does. */
export interface CacheState {
  /** How many clones it wants to have ready. */
  readonly size: number;
  /** How many are ready, by the key of the pods they fit. */
  readonly ready: Readonly<Record<string, number>>;
  /** How many pods took one since it started. */
  readonly served: number;
  readonly uptimeSeconds: number;
  /** Why no clone is made, or the last one was not. */
  readonly trouble?: string | undefined;
}

/** A clone that is stopped where it answered last. */
export interface OfferedClone {
  /** Its directory: `agent.sock` is in there, and the server's ledger of it. */
  readonly directory: string;
  readonly pid: number;
  readonly startTime: string;
  readonly token: string;
  readonly qemuVersion: string;
  /** What its CLOCK_MONOTONIC reads, in decimal nanoseconds. */
  readonly monotonicNanoseconds: string;
}

export type Offer = { readonly clone: OfferedClone } | { readonly none: string };

export const TAKEN = { taken: true } as const;
export const YOURS = { yours: true } as const;

/** No line is longer, newline included; who sends more is not the other side. */
export const MAX_LINE_BYTES = 4096;
const NEWLINE = 0x0a;

type Message =
  | TakeRequest
  | typeof STATE_REQUEST
  | { readonly state: CacheState }
  | Offer
  | typeof TAKEN
  | typeof YOURS;

export function encodeLine(message: Message): Buffer {
  return Buffer.from(`${JSON.stringify(message)}\n`);
}

/** Splits off the first line: undefined while it is not complete. Throws INVALID_ARGUMENT when it is too long. */
export function splitLine(bytes: Buffer): { readonly line: string; readonly rest: Buffer } | undefined {
  const end = bytes.indexOf(NEWLINE);
  if (end >= MAX_LINE_BYTES || (end === -1 && bytes.length >= MAX_LINE_BYTES)) {
    throw misunderstood(`a line of more than ${MAX_LINE_BYTES} bytes`);
  }
  if (end === -1) return undefined;
  return { line: bytes.subarray(0, end).toString("utf8"), rest: bytes.subarray(end + 1) };
}

export function decodeRequest(line: string): TakeRequest | typeof STATE_REQUEST {
  const { take, state } = parse(line);
  if (state === true) return STATE_REQUEST;
  if (typeof take !== "string" || !/^[0-9a-f]{32}-(copy|cow)$/.test(take)) throw misunderstood(line);
  return { take };
}

export function decodeOffer(line: string): Offer {
  const { clone, none } = parse(line);
  if (typeof none === "string") return { none };
  if (!isClone(clone)) throw misunderstood(line);
  return { clone };
}

export function decodeState(line: string): CacheState {
  const { state } = parse(line);
  if (!isState(state)) throw misunderstood(line);
  return state;
}

/** Throws unless `line` is exactly what is expected. */
export function expectLine(line: string, expected: typeof TAKEN | typeof YOURS): void {
  const [name = ""] = Object.keys(expected);
  if (parse(line)[name] !== true) throw misunderstood(line);
}

function isClone(value: unknown): value is OfferedClone {
  if (!isRecord(value)) return false;
  const { directory, pid, startTime, token, qemuVersion, monotonicNanoseconds } = value;
  return (
    typeof directory === "string" &&
    // Its whole content will be removed one day.
    isCloneDirectory(directory) &&
    typeof pid === "number" &&
    Number.isSafeInteger(pid) &&
    pid > 1 &&
    typeof startTime === "string" &&
    /^\d{1,20}$/.test(startTime) &&
    typeof token === "string" &&
    /^[0-9a-f-]{36}$/.test(token) &&
    typeof qemuVersion === "string" &&
    typeof monotonicNanoseconds === "string" &&
    /^\d{1,20}$/.test(monotonicNanoseconds)
  );
}

function isState(value: unknown): value is CacheState {
  if (!isRecord(value) || !isRecord(value.ready)) return false;
  const { size, served, uptimeSeconds, trouble } = value;
  const numbers = [size, served, uptimeSeconds, ...Object.values(value.ready)];
  return (
    numbers.every((one) => typeof one === "number") && (trouble === undefined || typeof trouble === "string")
  );
}

/** Directory of all clones, below the state directory; no namespace of containerd begins with a dot. */
export const CACHE_DIRECTORY = ".cache";

function isCloneDirectory(path: string): boolean {
  const parts = path.split("/");
  const [root, ...names] = parts;
  return (
    root === "" &&
    names.every((name) => name !== "" && name !== "." && name !== "..") &&
    parts.at(-2) === CACHE_DIRECTORY &&
    /^[0-9a-f]{8}$/.test(parts.at(-1) ?? "")
  );
}

function parse(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    if (isRecord(value)) return value;
  } catch {
    // Said below.
  }
  throw misunderstood(line);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function misunderstood(what: string): TapirError {
  return new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "understand",
    object: "the other end of the VM cache's socket",
    cause: what.slice(0, 200),
    hint: "let tapir factory serve and the shims be of the same version: restart the server",
  });
}
