import type { OutgoingPort } from "./outbox.ts";

/** One host's turn on the port, from its first bytes on. */
export interface Turn {
  /** True when a new host can begin here: this one is not in the middle of something. */
  readonly atBoundary: boolean;
  /** Takes received bytes; false: hold the next ones until it resumes. Their memory is the caller's again afterwards. */
  receive(chunk: Buffer): boolean;
  /** There is room to write again. */
  room(): void;
  /** Drops what is not written yet, and ends. */
  end(): void;
}

/** What a turn tells the port's reader. */
export interface TurnEvents {
  /** It takes bytes again. */
  onResume(): void;
  /** It is over, whoever ended it. */
  onEnd(): void;
}

/** What a host may speak. */
export interface Language {
  /** Whether a host that speaks it begins like this. */
  begins(chunk: Buffer): boolean;
  open(port: OutgoingPort, events: TurnEvents): Turn;
}
