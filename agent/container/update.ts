import { rmSync, writeFileSync } from "node:fs";
import type {
  UpdateContainerRequest,
  UpdateContainerResponse,
} from "../../proto/gen/tapir/agent/v1/container.ts";
import type { Deadline } from "../../sys/deadline.ts";
import type { Container } from "./container.ts";
import { runCrun, temporaryPath } from "./crun.ts";
import { guestHugePages } from "./huge-pages.ts";
import { parseResources } from "./parse-spec.ts";
import { guestResources } from "./resources.ts";

/** Changes the limits of a container's cgroup. */
export async function updateContainer(
  container: Container,
  request: UpdateContainerRequest,
  deadline: Deadline,
): Promise<UpdateContainerResponse> {
  const { resources, ignored } = guestResources(parseResources(request.resources), guestHugePages());
  const file = temporaryPath("json");
  writeFileSync(file, JSON.stringify(resources));
  try {
    const args = ["update", `--resources=${file}`, container.id];
    await container.inTurn(() => runCrun(args, `container ${container.id}`, deadline), deadline);
  } finally {
    rmSync(file, { force: true });
  }
  return { ignored };
}
