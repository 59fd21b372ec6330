import { execFile } from "node:child_process";
import { errnoOf, TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";

/** Debian packages that hold the tools a build calls. */
const HOST_PACKAGES = {
  "apt-cache": "apt",
  "apt-get": "apt",
  "dpkg-deb": "dpkg",
  "dpkg-query": "dpkg",
  depmod: "kmod",
  "mkfs.erofs": "erofs-utils",
} as const;

export type Tool = keyof typeof HOST_PACKAGES;

export interface ToolOptions {
  readonly cwd?: string;
  /** Milliseconds after which the tool is killed; 5 minutes unless given. */
  readonly timeoutMs?: number;
  /** The way out that the error names. */
  readonly hint?: string;
}

/**
 * Runs a build tool of the host and returns what it printed on stdout.
 * Throws a TapirError with the last line of its stderr; a missing tool names the package that holds it.
 */
export async function runTool(
  tool: Tool,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const settings = {
    cwd: options.cwd,
    // A fixed locale and path: what tools print and do must not depend on who builds.
    env: { ...proxies(), PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
    maxBuffer: 64 << 20,
    timeout: options.timeoutMs ?? 300_000,
  };
  execFile(tool, args, settings, (error, stdout, stderr) => {
    if (error === null) resolve(stdout);
    else reject(toolError(tool, args, error, stderr, options.hint));
  });
  return promise;
}

/** The way out of this machine, for apt. */
function proxies(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] => /^(https?|no)_proxy$/i.test(entry[0]) && entry[1] !== undefined,
    ),
  );
}

function toolError(
  tool: Tool,
  args: readonly string[],
  error: Error & { killed?: boolean },
  stderr: string,
  hint: string | undefined,
): TapirError {
  if (errnoOf(error) === "ENOENT") {
    return new TapirError({
      code: Code.FAILED_PRECONDITION,
      operation: "run",
      object: tool,
      cause: "it is not installed",
      hint: `apt-get install ${HOST_PACKAGES[tool]}`,
    });
  }
  const lines = stderr.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("W:"));
  const cause = error.killed === true ? "it took too long" : (lines.at(-1) ?? error.message);
  return new TapirError({
    code: Code.INTERNAL,
    operation: "run",
    object: [tool, ...args.slice(0, 2)].join(" "),
    cause,
    ...(hint === undefined ? {} : { hint }),
  });
}
