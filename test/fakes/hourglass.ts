import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";

/** A deadline whose time is up when the test says so: what has happened by then does not depend on the machine's speed. */
export interface Hourglass {
  readonly deadline: Deadline;
  runOut(): void;
}

/** Longer than any test. */
const NEVER_MS = 600_000;

export function hourglass(job: string): Hourglass {
  const over = new AbortController();
  return {
    deadline: deadlineIn(NEVER_MS, job, over.signal),
    runOut: () =>
      over.abort(
        new TapirError({
          code: Code.DEADLINE_EXCEEDED,
          operation: "finish",
          object: job,
          cause: "the sand has run out",
        }),
      ),
  };
}
