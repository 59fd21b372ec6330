import { arch } from "node:os";
import { join } from "node:path";
import type { Deadline } from "../sys/deadline.ts";
import { cached, link } from "./cache.ts";
import { PROJECT } from "./command.ts";
import { buildCriTools, CRI_TOOLS_VERSION, onPath } from "./cri-tools.ts";
import type { StepResult } from "./step.ts";

/** In this version `crictl attach` forgets its transport, and ends with "unknown transport". */
const ATTACH = {
  file: "cmd/crictl/attach.go",
  text: 'stdin: c.Bool("stdin"),',
  by: 'stdin: c.Bool("stdin"), transport: c.String(transportFlag),',
};

/** Puts crictl at `build/bin/crictl`: the one on PATH, else one built with the Go toolchain. */
export async function setUpCrictl(deadline: Deadline): Promise<StepResult> {
  const target = join(PROJECT, "build/bin/crictl");
  const installed = onPath("crictl");
  if (installed !== undefined) {
    link(installed, target);
    return installed;
  }
  const { directory, made } = await cached({
    kind: "crictl",
    key: `${CRI_TOOLS_VERSION}-attach-${arch()}`,
    make: (to) => {
      const crictl = {
        tool: "crictl",
        verb: ["build"],
        package: "./cmd/crictl",
        output: join(to, "crictl"),
        change: ATTACH,
      };
      return buildCriTools([crictl], deadline);
    },
  });
  link(join(directory, "crictl"), target);
  return `${made ? "built" : "cached"}, version ${CRI_TOOLS_VERSION}`;
}
