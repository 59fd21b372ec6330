/** What a check found: where, and one sentence that says what is wrong and what to do. */
export interface Problem {
  readonly file: string;
  readonly text: string;
}

/** A check of the house: returns what is wrong; throws only when it cannot look. */
export interface Check {
  readonly name: string;
  run(root: string): Promise<CheckResult>;
}

export interface CheckResult {
  readonly problems: readonly Problem[];
  /** One short line for the report: "113 files, median 84 lines". */
  readonly note?: string;
}
