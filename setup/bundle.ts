import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { join, relative } from "node:path";
import { type BuildOptions, build, type Plugin } from "esbuild";
import { BANNER, findNatives, nativeModules, withoutProtoLoader } from "../guest/bundle-agent.ts";
import { deadlineIn } from "../sys/deadline.ts";
import { reasonOf, TapirError, wrapError } from "../sys/error.ts";
import { replaceFile } from "../sys/replace-file.ts";
import { Code } from "../sys/status.ts";
import { PROJECT, runLogged } from "./command.ts";

export interface BundleOptions {
  /** Absolute path of the Node that runs the programs: it goes into their first line. */
  readonly nodePath: string;
  /** Where the programs go, with everything they load. */
  readonly outDir: string;
  /** Where they will be when they run, if that is somewhere else. */
  readonly place?: string;
  /** Instead of shim/sandbox/sandbox.ts: tests put a pod without a VM into a real shim. */
  readonly sandboxModule?: string;
}

/** What containerd executes, and the script that this makes Node run first. */
const SHIM = {
  name: "containerd-shim-tapir-v2",
  launcher: "shim/launch.sh",
  first: "containerd-shim-tapir-v2.cjs",
} as const;
/**
 * The scripts behind it: as little as possible until containerd has its answer, then all that a pod needs. What speaks gRPC
 * comes with the first question that needs it.
 */
const GRPC = "@grpc/grpc-js";
const SCRIPTS: Readonly<Record<string, string>> = {
  "main.cjs": "shim/main.ts",
  "serve.cjs": "shim/serve.ts",
  "grpc.cjs": GRPC,
};
/** The operator's program: a first line, then its module. */
const CLI = "tapir";
// What ES modules inside a CommonJS script expect to find.
const CJS_BANNER = 'const tapirUrl = require("node:url").pathToFileURL(__filename).href;';
/** Linux reads no more of a first line (BINPRM_BUF_SIZE). */
const MAX_SHEBANG_BYTES = 255;
const WARM_MS = 30_000;

/**
 * Bundles the shim (and the `tapir` command) as they run on a node. A shim that runs has read its code: only the native
 * libraries are loaded later. Returns false when everything was there already.
 */
export async function bundleShim(options: BundleOptions): Promise<boolean> {
  const { outDir, nodePath } = options;
  const shebang = `#!${nodePath} --no-warnings\n`;
  if (Buffer.byteLength(shebang) > MAX_SHEBANG_BYTES) throw tooLong(nodePath);
  const files: OutputFile[] = [
    ...(await bundleCli(options)),
    { name: CLI, text: `${shebang}import(${JSON.stringify(`./${CLI}.mjs`)});\n`, program: true },
    ...(await Promise.all(
      Object.entries(SCRIPTS).map(([name, source]) => bundleScript(name, source, options)),
    )),
    { name: SHIM.name, text: launcher(options), program: true },
  ];
  // What it keeps compiled is of use for these scripts only.
  const define = { TAPIR_REVISION: JSON.stringify(revisionOf(files)) };
  files.push(await bundleScript(SHIM.first, "shim/first.ts", options, define));
  const revision = revisionOf(files);
  const note = join(outDir, "revision");
  if (existsSync(note) && readFileSync(note, "utf8") === revision) return false;
  mkdirSync(outDir, { recursive: true });
  for (const [name, path] of findNatives()) copyNative(path, join(outDir, name));
  // The programs have names without an ending, so this says what they are.
  replaceFile(join(outDir, "package.json"), '{ "type": "commonjs" }\n', 0o644);
  for (const { name, text, program } of files) replaceFile(join(outDir, name), text, program ? 0o755 : 0o644);
  rmSync(join(outDir, "cache"), { recursive: true, force: true });
  await warm(outDir);
  replaceFile(note, revision, 0o644);
  return true;
}

function launcher({ outDir, nodePath, place = outDir }: BundleOptions): string {
  return readFileSync(join(PROJECT, SHIM.launcher), "utf8")
    .replace("'@NODE@'", () => shellWord(nodePath))
    .replace("'@PROGRAM@'", () => shellWord(join(place, SHIM.first)));
}

function shellWord(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function tooLong(nodePath: string): TapirError {
  return new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "bundle",
    object: "the shim",
    cause: `the path of Node, ${nodePath}, is too long for the first line of a program`,
    hint: "work in a directory with a shorter path",
  });
}

/** Compiles what a pod loads once, as it will run. What it runs, the first pods leave for those that come. */
function warm(outDir: string): Promise<void> {
  return runLogged({
    command: process.execPath,
    args: ["--no-warnings", "--expose-gc", join(realpathSync(outDir), SHIM.first), "warm"],
    log: "shim-cache",
    deadline: deadlineIn(WARM_MS, "warm the compile cache"),
  });
}

interface OutputFile {
  readonly name: string;
  readonly text: string;
  readonly program: boolean;
}

/** CommonJS in one file: 5 to 10 ms less than modules in chunks; its parts run when they are imported. */
async function bundleScript(
  name: string,
  source: string,
  { outDir, sandboxModule }: BundleOptions,
  define: Readonly<Record<string, string>> = {},
): Promise<OutputFile> {
  const files = await run("the shim", {
    ...common(outDir),
    entryPoints: [source],
    format: "cjs",
    // Node's own loader of modules is never woken up.
    supported: { "dynamic-import": false },
    banner: { js: CJS_BANNER },
    define: {
      ...versionDefine(),
      ...define,
      "import.meta.dirname": "__dirname",
      "import.meta.url": "tapirUrl",
    },
    plugins: [nativeModules(), withoutProtoLoader(), scriptsStayOutside(sandboxModule)],
  });
  return { name, text: files.map(({ text }) => text).join(""), program: false };
}

/** A script's code is not part of the one that loads it; a test's sandbox takes the place of the real one. */
function scriptsStayOutside(sandboxModule: string | undefined): Plugin {
  return {
    name: "scripts stay outside",
    setup(esbuild) {
      const outside = (source: string) => {
        const script = Object.entries(SCRIPTS).find(([, entry]) => entry === source);
        return script === undefined ? undefined : { path: `./${script[0]}`, external: true };
      };
      esbuild.onResolve({ filter: new RegExp(`^${GRPC}$`) }, ({ kind }) =>
        kind === "entry-point" ? undefined : outside(GRPC),
      );
      esbuild.onResolve({ filter: /\.ts$/ }, ({ path, kind, resolveDir }) => {
        const source = relative(PROJECT, join(resolveDir, path));
        if (source === "shim/sandbox/sandbox.ts" && sandboxModule !== undefined)
          return { path: sandboxModule };
        return kind === "dynamic-import" ? outside(source) : undefined;
      });
    },
  };
}

/** Modules in chunks, named by their content: what a verb needs is loaded when it is called. */
async function bundleCli({ outDir }: BundleOptions): Promise<OutputFile[]> {
  const files = await run("the command", {
    ...common(outDir),
    entryPoints: { [CLI]: "cli/main.ts" },
    outExtension: { ".js": ".mjs" },
    chunkNames: "[name]-[hash]",
    splitting: true,
    format: "esm",
    define: versionDefine(),
    banner: { js: BANNER },
    plugins: [nativeModules()],
  });
  return files.map((file) => ({ ...file, program: false }));
}

const common = (outdir: string) =>
  ({
    absWorkingDir: PROJECT,
    outdir,
    bundle: true,
    write: false,
    platform: "node",
    target: "node24",
    legalComments: "none",
    minifySyntax: true,
    minifyWhitespace: true,
    // The line in a stack trace still says where.
    lineLimit: 120,
    logLevel: "silent",
  }) as const;

function versionDefine(): Record<string, string> {
  const { version } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as { version: string };
  return { TAPIR_VERSION: JSON.stringify(version) };
}

async function run(
  what: string,
  options: BuildOptions & { outdir: string },
): Promise<{ name: string; text: string }[]> {
  try {
    const { outputFiles = [] } = await build(options);
    return outputFiles.map(({ path, text }) => ({ name: relative(options.outdir, path), text }));
  } catch (error) {
    throw wrapError(error, { operation: "bundle", object: what });
  }
}

function revisionOf(files: readonly OutputFile[]): string {
  const hash = createHash("sha256");
  for (const { name, text } of files) hash.update(`${name}\0${text}\0`);
  for (const [name, path] of findNatives()) hash.update(`${name}\0`).update(readFileSync(path));
  return hash.digest("hex").slice(0, 12);
}

/** A library that runs may not be written over; the same one need not. */
function copyNative(from: string, to: string): void {
  if (
    existsSync(to) &&
    statSync(to).size === statSync(from).size &&
    readFileSync(to).equals(readFileSync(from))
  ) {
    return;
  }
  copyFileSync(from, `${to}.new`);
  renameSync(`${to}.new`, to);
}

if (import.meta.main) {
  try {
    await bundleShim({ nodePath: process.execPath, outDir: join(PROJECT, "build/shim") });
  } catch (error) {
    process.stderr.write(`bundle: ${reasonOf(error)}\n`);
    process.exit(1);
  }
}
