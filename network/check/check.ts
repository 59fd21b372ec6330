import type { Deadline } from "../../sys/deadline.ts";
import { reasonOf } from "../../sys/error.ts";
import { openRoute } from "../../sys/netlink/socket.ts";
import { makeScratchNetns } from "../../sys/netns.ts";
import { reasonOfMissing } from "./attempts.ts";
import type { Requirement } from "./requirement.ts";

/** What became of one requirement. */
export interface Finding {
  readonly requirement: Requirement;
  /** Why the kernel did not do it; undefined: it did. */
  readonly failure: string | undefined;
}

/** Tries every requirement in a network namespace of its own, one after another. */
export async function checkRequirements(
  requirements: readonly Requirement[],
  deadline: Deadline,
): Promise<Finding[]> {
  using scratch = makeScratchNetns();
  using socket = openRoute({ netns: scratch.path });
  const findings: Finding[] = [];
  for (const requirement of requirements) {
    const failure = await requirement
      .attempt({ netns: scratch.path, socket }, deadline)
      .then(() => undefined, explain);
    findings.push({ requirement, failure });
  }
  return findings;
}

function explain(error: unknown): string {
  const why = reasonOfMissing(error);
  return why === undefined ? reasonOf(error) : `${reasonOf(error)}: ${why}`;
}
