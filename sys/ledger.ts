import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Deadline, deadlineIn } from "./deadline.ts";
import { isOutOfDescriptors, TapirError, wrapError } from "./error.ts";
import { failpoint } from "./failpoint.ts";
import { identify, type ProcessIdentity } from "./identity.ts";
import { FILE, type Line, readLines } from "./ledger-lines.ts";
import { removeState } from "./state-tree.ts";
import { Code } from "./status.ts";
import type { Undo } from "./undo/entry.ts";
import { undo } from "./undo/undo.ts";

/**
 * The one mechanism for undoing. Every resource is announced in `<state directory>/ledger` — how to undo it —
 * before it is acquired. A failing start, a normal stop and the replay after a crash all walk the same entries
 * backwards. On tmpfs nothing is fsynced: what the entries describe dies with the machine.
 */
export interface Ledger extends AsyncDisposable {
  /** The state directory: made with the ledger, removed with it once everything is undone. */
  readonly directory: string;
  /**
   * Announces `entry`, then runs `act`. `step` names the acquisition (`network.tap`) and is a failpoint.
   * When `act` throws, the entry is undone at once and the error goes on.
   */
  acquire<T>(step: string, entry: Undo, act: Act<T>): Promise<Acquired<T>>;
  /**
   * Forgets everything without undoing it, in one step on the disk: another process's ledger has announced all of it, the
   * directory too, which stays. Nothing can be acquired any more, and unwinding does nothing.
   */
  cede(): void;
  /**
   * Undoes everything, last first, each step with a deadline of its own; goes on after a failure and throws what failed.
   * Without descriptors it stops: no other step would get on, and each would take its time.
   */
  unwind(): Promise<void>;
}

export interface Acquired<T> {
  readonly value: T;
  /** Undoes this acquisition now. Idempotent. */
  release(): Promise<void>;
}

export interface ActContext {
  /** Writes what is known only after the acquisition: a pid, an interface index. */
  amend(entry: Undo): void;
  /** A gentler way to give the resource back, tried first; the entry's own undo always follows. */
  onRelease(gently: (deadline: Deadline) => Promise<void>): void;
}
export type Act<T> = (context: ActContext) => T | Promise<T>;

/** Who is told what a ledger does. */
export interface LedgerListeners {
  /** Something could not be undone for want of descriptors: somebody else has to replay the ledger. */
  readonly onHelpless?: (error: unknown) => void;
  /** A step was acquired or undone, or could not be: then with why. */
  readonly onStep?: (step: LedgerStep) => void;
}

export interface LedgerStep {
  readonly step: string;
  readonly job: "acquire" | "undo";
  readonly milliseconds: number;
  readonly error?: unknown;
}

const UNDO_DEADLINE_MS = 10_000;
/** How long the file gets beyond what is held, in lines. */
const SPARE_LINES = 64;

/**
 * Creates the state directory (0700) and a ledger in it that says this process owns it. `undoMs`: how long one step of an unwind
 * may take.
 */
export function openLedger(
  directory: string,
  listeners: LedgerListeners = {},
  undoMs = UNDO_DEADLINE_MS,
): Ledger {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  // Kept open: what was undone can be written down when there are no descriptors left.
  let file = openSync(join(directory, FILE), "a", 0o600);
  const held = new Map<number, { readonly line: () => Line; readonly release: () => Promise<void> }>();
  let lines = 0;
  let nextId = 0;
  let ceded = false;
  let closed = false;
  /** The last line did not get on the disk, or not all of it. */
  let torn = false;
  const close = (): void => {
    if (!closed) closeSync(file);
    closed = true;
  };
  const write = (line: Line): void => {
    if (closed) return;
    const start = torn ? "\n" : "";
    torn = true;
    appendFileSync(file, `${start}${JSON.stringify(line)}\n`);
    torn = false;
    lines += 1;
  };
  const owner = identify(process.pid);
  if (owner !== undefined) write({ owner });
  /** A pod lives for months, and its containers come and go: what is over is left out of a new file that takes the old one's place. */
  const shorten = (): void => {
    if (closed || lines < SPARE_LINES + 2 * held.size) return;
    const path = join(directory, `${FILE}.new`);
    try {
      const kept: Line[] = [...held.values()].map(({ line }) => line());
      if (owner !== undefined) kept.unshift({ owner });
      writeFileSync(path, kept.map((line) => `${JSON.stringify(line)}\n`).join(""), { mode: 0o600 });
      const next = openSync(path, "a");
      try {
        renameSync(path, join(directory, FILE));
      } catch (error) {
        closeSync(next);
        throw error;
      }
      closeSync(file);
      [file, torn] = [next, false];
    } catch {
      // The long one says the same.
      rmSync(path, { force: true });
    }
    lines = held.size;
  };

  const helpless = (error: unknown): never => {
    if (isOutOfDescriptors(error)) listeners.onHelpless?.(error);
    throw error;
  };

  const told = async <T>(step: string, job: LedgerStep["job"], work: () => Promise<T>): Promise<T> => {
    const startMs = performance.now();
    const tell = (failure: Pick<LedgerStep, "error">): void =>
      listeners.onStep?.({ step, job, milliseconds: performance.now() - startMs, ...failure });
    try {
      const value = await work();
      tell({});
      return value;
    } catch (error) {
      tell({ error });
      throw error;
    }
  };

  const ledger: Ledger = {
    directory,
    async acquire(step, entry, act) {
      if (ceded || closed) throw refusal(step, directory, ceded ? "it is another process's" : "it is closed");
      const id = ++nextId;
      let current = entry;
      let gently: ((deadline: Deadline) => Promise<void>) | undefined;
      const giveBack = async (): Promise<void> => {
        await told(step, "undo", () => releaseStep(step, current, gently, undoMs)).catch(helpless);
        held.delete(id);
        write({ id, done: true });
        shorten();
      };
      let releasing: Promise<void> | undefined;
      const release = (): Promise<void> => {
        releasing ??= giveBack().catch((error: unknown) => {
          // Still held: a later unwind tries again.
          releasing = undefined;
          throw error;
        });
        return releasing;
      };
      write({ id, step, undo: current });
      held.set(id, { release, line: () => ({ id, step, undo: current }) });
      try {
        const value = await told(step, "acquire", async () => {
          await failpoint(step);
          const acquired = await act({
            amend(amended) {
              current = amended;
              write({ id, step, undo: amended });
            },
            onRelease(way) {
              gently = way;
            },
          });
          await failpoint(`${step}!`);
          return acquired;
        });
        return { value, release };
      } catch (error) {
        // What cannot be undone now is still held; why the acquisition failed is what the caller needs.
        await release().catch(() => undefined);
        throw error;
      }
    },
    cede() {
      rmSync(join(directory, FILE));
      ceded = true;
      held.clear();
      close();
    },
    async unwind() {
      if (ceded) return;
      const failures: unknown[] = [];
      for (const { release } of [...held.values()].reverse()) {
        await release().catch((error: unknown) => failures.push(error));
        if (isOutOfDescriptors(failures.at(-1))) break;
      }
      // The ledger must outlive what could not be undone.
      if (failures.length > 0) throw new AggregateError(failures, `could not undo ${failures.length} steps`);
      close();
      try {
        await removeState(directory, FILE);
      } catch (error) {
        helpless(error);
      }
    },
    async [Symbol.asyncDispose]() {
      await ledger.unwind();
    },
  };
  return ledger;
}

function refusal(step: string, directory: string, cause: string): TapirError {
  const object = `${step} in the ledger of ${directory}`;
  return new TapirError({ code: Code.FAILED_PRECONDITION, operation: "acquire", object, cause });
}

async function releaseStep(
  step: string,
  entry: Undo,
  gently?: (deadline: Deadline) => Promise<void>,
  undoMs = UNDO_DEADLINE_MS,
): Promise<void> {
  await failpoint(`${step}~`);
  using deadline = deadlineIn(undoMs, `undo ${step}`);
  let gentleFailure: unknown;
  try {
    // Raced: one that never comes back must not keep the others.
    if (gently !== undefined) await deadline.race(gently(deadline));
  } catch (error) {
    gentleFailure = error;
  }
  try {
    using limit = deadlineIn(undoMs, `undo ${step}`);
    await limit.race(undo(entry, limit));
  } catch (error) {
    throw wrapError(gentleFailure === undefined ? error : new AggregateError([gentleFailure, error]), {
      operation: "undo",
      object: `${step} (${entry.kind})`,
    });
  }
}

export function hasLedger(directory: string): boolean {
  return existsSync(join(directory, FILE));
}

/** Reads what is still to be undone, last first. */
export function readLedger(directory: string): { step: string; undo: Undo }[] {
  const open = new Map<number, { step: string; undo: Undo }>();
  for (const line of readLines(directory)) {
    if ("owner" in line) continue;
    if ("done" in line) open.delete(line.id);
    else open.set(line.id, { step: line.step, undo: line.undo });
  }
  return [...open.values()].reverse();
}

/** The process that opened the ledger; undefined when there is no ledger. It may be dead. */
export function ledgerOwner(directory: string): ProcessIdentity | undefined {
  return readLines(directory).find((line) => "owner" in line)?.owner;
}

/**
 * Undoes what a dead process left open in `directory`, last first. Returns the steps undone; what failed is in
 * `failures`, and the directory stays then for another try. One without a ledger, which holds nothing, is removed.
 */
export async function replayLedger(directory: string): Promise<{ undone: string[]; failures: unknown[] }> {
  const undone: string[] = [];
  const failures: unknown[] = [];
  for (const entry of readLedger(directory)) {
    try {
      await releaseStep(entry.step, entry.undo);
      undone.push(entry.step);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length === 0)
    await removeState(directory, FILE).catch((error: unknown) => failures.push(error));
  return { undone, failures };
}
