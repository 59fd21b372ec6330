import { type Deadline, deadlineIn } from "../sys/deadline.ts";
import { reasonOf } from "../sys/error.ts";
import { setUpBusybox } from "./busybox.ts";
import { runLogged } from "./command.ts";
import { setUpCrictl } from "./crictl.ts";
import { since, step } from "./step.ts";

/** A cold build of crictl takes minutes on a small machine; the guest image is built beside it. */
const DEADLINE_MS = 30 * 60_000;

/**
 * The second half of the set-up (the first is setup.sh): everything below `build/` that tests and demo need. Each
 * part knows by content whether it is current, so that a second run takes a moment.
 */
async function setUp(): Promise<void> {
  const failed = new AbortController();
  const deadline = deadlineIn(DEADLINE_MS, "set up", failed.signal);
  const parts = [
    step("crictl", () => setUpCrictl(deadline), deadline.signal),
    node("guest image", "guest/build.ts", deadline),
    node("shim bundle", "setup/bundle.ts", deadline),
    step("busybox", setUpBusybox),
  ];
  // The first failure ends the others: nothing goes on in the background after the reason was printed.
  await Promise.all(parts.map((part) => part.catch((error: unknown) => failed.abort(error))));
  failed.signal.throwIfAborted();
}

function node(name: string, script: string, deadline: Deadline): Promise<void> {
  return step(
    name,
    async () => {
      const log = name.replaceAll(" ", "-");
      await runLogged({ command: process.execPath, args: [script], log, deadline });
      return undefined;
    },
    deadline.signal,
  );
}

const started = performance.now();
try {
  await setUp();
  process.stdout.write(`set-up is complete  ${since(started)}\n`);
} catch (error) {
  process.stderr.write(`setup: ${reasonOf(error)}\n`);
  process.exit(1);
}
