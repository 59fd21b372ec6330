import { execFileSync } from "node:child_process";
import { accessSync, chmodSync, constants, cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Deadline } from "../sys/deadline.ts";
import { TapirError, wrapError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";
import { CACHE } from "./cache.ts";
import { runLogged } from "./command.ts";

const MODULE = "sigs.k8s.io/cri-tools";
/** Of crictl and critest. */
export const CRI_TOOLS_VERSION = "1.30.0";

export interface GoBuild {
  /** What is built, for log and errors: "crictl". */
  readonly tool: string;
  /** `["build"]`, or `["test", "-c"]` for a test binary. */
  readonly verb: readonly string[];
  /** A package of the module, or one that the module requires. */
  readonly package: string;
  /** Path of the program. */
  readonly output: string;
  /** A change of the module's source, for this build only. */
  readonly change?: SourceChange;
}

/** In `file`, a path in the module, `text` is replaced by `by`. */
export interface SourceChange {
  readonly file: string;
  readonly text: string;
  readonly by: string;
}

/** Builds programs of cri-tools with the Go toolchain, one after the other. */
export async function buildCriTools(builds: readonly GoBuild[], deadline: Deadline): Promise<void> {
  const tools = builds.map(({ tool }) => tool).join(", ");
  const go = findGo(tools);
  const source = await download(go, tools, deadline);
  for (const build of builds) {
    // `go install module@version` asks for a list of versions, which not every module proxy serves.
    await runLogged({
      command: go,
      args: [
        ...build.verb,
        "-mod=readonly",
        "-trimpath",
        "-ldflags",
        `-s -w -X ${MODULE}/pkg/version.Version=${CRI_TOOLS_VERSION}`,
        "-o",
        build.output,
        build.package,
      ],
      log: build.tool,
      cwd: build.change === undefined ? source : changedSource(source, build.change, build.output),
      env: { GOTOOLCHAIN: "local", CGO_ENABLED: "0" },
      deadline,
    });
  }
}

/** A copy of the module, with the change, beside the program to be built: Go's own cache is read-only. */
function changedSource(source: string, { file, text, by }: SourceChange, output: string): string {
  const copy = `${output}.source`;
  cpSync(source, copy, { recursive: true });
  const path = join(copy, file);
  const content = readFileSync(path, "utf8");
  if (!content.includes(text)) {
    throw new TapirError({
      code: Code.NOT_FOUND,
      operation: "change",
      object: path,
      cause: `no "${text}" in it`,
    });
  }
  chmodSync(path, 0o644);
  writeFileSync(path, content.replace(text, by));
  return copy;
}

function findGo(tools: string): string {
  const go = onPath("go") ?? onPath("go", "/usr/local/go/bin:/usr/lib/go/bin");
  if (go !== undefined) return go;
  throw new TapirError({
    code: Code.NOT_FOUND,
    operation: "build",
    object: tools,
    cause: "the Go toolchain is not on PATH",
    hint: `install Go (go.dev/dl), or put ${tools} (a release of ${MODULE}) on PATH`,
  });
}

/** The module's source in Go's module cache. */
async function download(go: string, tools: string, deadline: Deadline): Promise<string> {
  await runLogged({
    command: go,
    args: ["mod", "download", `${MODULE}@v${CRI_TOOLS_VERSION}`],
    log: "cri-tools-source",
    // Outside of any module.
    cwd: CACHE,
    env: { GOTOOLCHAIN: "local" },
    deadline,
    hint: `check the network and 'go env GOPROXY', or put ${tools} on PATH`,
  });
  try {
    const root = execFileSync(go, ["env", "GOMODCACHE"], { encoding: "utf8" }).trim();
    return join(root, `${MODULE}@v${CRI_TOOLS_VERSION}`);
  } catch (error) {
    throw wrapError(error, { operation: "ask", object: go });
  }
}

/** The first executable of that name in the directories of `path`. */
export function onPath(name: string, path = process.env.PATH ?? ""): string | undefined {
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
