import { createHash } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { arch } from "node:os";
import { join } from "node:path";
import { type Deadline, deadlineIn } from "../sys/deadline.ts";
import { CACHE, cached, link } from "./cache.ts";
import { PROJECT } from "./command.ts";
import { buildCriTools, CRI_TOOLS_VERSION } from "./cri-tools.ts";
import { type StepResult, step } from "./step.ts";

const DEADLINE_MS = 20 * 60_000;
const PRINTS_UID = join(PROJECT, "test/critest/nonewprivs/main.go");
/** ginkgo takes a test binary by its suffix. */
const PROGRAMS = ["critest.test", "ginkgo", "nonewprivs"] as const;

/** Shows the step as the set-up shows its own. */
export function setUpCritest(): Promise<void> {
  return step("critest", () => putCritest(deadlineIn(DEADLINE_MS, "set up critest")));
}

/**
 * Puts the CRI's conformance suite at `build/critest`: the test binary of the same cri-tools as crictl, the ginkgo
 * that runs it in several processes, in the version that the suite was made with, and the program of its image for
 * no-new-privileges.
 */
async function putCritest(deadline: Deadline): Promise<StepResult> {
  const source = createHash("sha256").update(readFileSync(PRINTS_UID)).digest("hex").slice(0, 16);
  mkdirSync(CACHE, { recursive: true });
  const { directory, made } = await cached({
    kind: "critest",
    key: `${CRI_TOOLS_VERSION}-${arch()}-${source}`,
    make: (to) => build(to, deadline),
  });
  for (const name of PROGRAMS) link(join(directory, name), join(PROJECT, "build/critest", name));
  return `${made ? "built" : "cached"}, version ${CRI_TOOLS_VERSION}`;
}

function build(to: string, deadline: Deadline): Promise<void> {
  const [critest, ginkgo, nonewprivs] = PROGRAMS;
  return buildCriTools(
    [
      { tool: "critest", verb: ["test", "-c"], package: "./cmd/critest", output: join(to, critest) },
      {
        tool: "ginkgo",
        verb: ["build"],
        package: "github.com/onsi/ginkgo/v2/ginkgo",
        output: join(to, ginkgo),
      },
      { tool: "nonewprivs", verb: ["build"], package: PRINTS_UID, output: join(to, nonewprivs) },
    ],
    deadline,
  );
}
