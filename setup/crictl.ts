import { execFileSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { arch } from "node:os";
import { join } from "node:path";
import type { Deadline } from "../sys/deadline.ts";
import { TapirError, wrapError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";
import { CACHE, cached, link } from "./cache.ts";
import { PROJECT, runLogged } from "./command.ts";
import type { StepResult } from "./step.ts";

const MODULE = "sigs.k8s.io/cri-tools";
const VERSION = "1.30.0";

/** Puts crictl at `build/bin/crictl`: the one on PATH, else one built with the Go toolchain. */
export async function setUpCrictl(deadline: Deadline): Promise<StepResult> {
  const target = join(PROJECT, "build/bin/crictl");
  const installed = onPath("crictl");
  if (installed !== undefined) {
    link(installed, target);
    return installed;
  }
  const entry = { kind: "crictl", key: `${VERSION}-${arch()}`, make: (to: string) => build(to, deadline) };
  const { directory, made } = await cached(entry);
  link(join(directory, "crictl"), target);
  return made ? `built, version ${VERSION}` : `cached, version ${VERSION}`;
}

async function build(directory: string, deadline: Deadline): Promise<void> {
  const go = onPath("go") ?? onPath("go", "/usr/local/go/bin:/usr/lib/go/bin");
  if (go === undefined) {
    throw new TapirError({
      code: Code.NOT_FOUND,
      operation: "find",
      object: "crictl",
      cause: "neither crictl nor the Go toolchain to build it is on PATH",
      hint: `install crictl (a release of ${MODULE}) or Go (go.dev/dl)`,
    });
  }
  const source = await download(go, deadline);
  // `go install module@version` asks for a list of versions, which not every module proxy serves.
  await runLogged({
    command: go,
    args: [
      "build",
      "-mod=readonly",
      "-trimpath",
      "-ldflags",
      `-s -w -X ${MODULE}/pkg/version.Version=${VERSION}`,
      "-o",
      join(directory, "crictl"),
      "./cmd/crictl",
    ],
    log: "crictl",
    cwd: source,
    env: { GOTOOLCHAIN: "local", CGO_ENABLED: "0" },
    deadline,
  });
}

/** The module's source in Go's module cache. */
async function download(go: string, deadline: Deadline): Promise<string> {
  await runLogged({
    command: go,
    args: ["mod", "download", `${MODULE}@v${VERSION}`],
    log: "crictl-source",
    // Outside of any module.
    cwd: CACHE,
    env: { GOTOOLCHAIN: "local" },
    deadline,
    hint: "check the network and 'go env GOPROXY', or install crictl",
  });
  try {
    const root = execFileSync(go, ["env", "GOMODCACHE"], { encoding: "utf8" }).trim();
    return join(root, `${MODULE}@v${VERSION}`);
  } catch (error) {
    throw wrapError(error, { operation: "ask", object: go });
  }
}

function onPath(name: string, path = process.env.PATH ?? ""): string | undefined {
  return path
    .split(":")
    .map((directory) => join(directory, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
