import type { TimelineStep } from "../shim/state/timeline.ts";

/** The steps by which a start shows how its VM and its NIC came to be. */
const TELLING = ["guest boot", "load state", "cache", "hot-plug"] as const;
type Telling = (typeof TELLING)[number];

/** What each kind of start has; of the telling steps it has no other. */
const KINDS = {
  booted: ["guest boot"],
  warm: ["load state"],
  hot: ["load state", "hot-plug"],
  cache: ["cache", "hot-plug"],
} as const satisfies Record<string, readonly Telling[]>;

export type StartKind = keyof typeof KINDS;

/**
 * Throws when a pod did not start in the way that is measured: who falls back to another says so in a log, and would count
 * here as one of those it was to be compared with. Pure.
 */
export function requireKind(kind: StartKind, steps: readonly TimelineStep[]): void {
  const wanted: readonly Telling[] = KINDS[kind];
  const has = (name: Telling): boolean => steps.some((one) => one.name === name);
  const wrong = TELLING.filter((name) => has(name) !== wanted.includes(name));
  if (wrong.length === 0) return;
  const list = wrong.map((name) => (has(name) ? `a step "${name}"` : `no step "${name}"`)).join(", ");
  throw new Error(`the pod did not start as one that is ${kind}: its timeline has ${list}`);
}
