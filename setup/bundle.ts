import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { BANNER, findNatives, nativeModules } from "../guest/bundle-agent.ts";
import { reasonOf, TapirError, wrapError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";
import { PROJECT } from "./command.ts";

export interface BundleOptions {
  /** Absolute path of the Node that runs the programs: it goes into their first line. */
  readonly nodePath: string;
  /** Where the programs go, with everything they load. */
  readonly outDir: string;
  /** Instead of shim/sandbox/sandbox.ts: tests put a pod without a VM into a real shim. */
  readonly sandboxModule?: string;
}

/** Program name → its source. */
const PROGRAMS = { "containerd-shim-tapir-v2": "shim/main.ts", tapir: "cli/main.ts" } as const;
/** Linux reads no more of a first line (BINPRM_BUF_SIZE). */
const MAX_SHEBANG_BYTES = 255;

/**
 * Bundles the shim (and the `tapir` command) as they run on a node: a small program for each command and chunks that
 * are loaded when needed. Chunks are named by their content and the old ones stay, because a shim that runs may still
 * have to load one. Returns false when everything was there already.
 */
export async function bundleShim(options: BundleOptions): Promise<boolean> {
  const { outDir, nodePath } = options;
  const shebang = `#!${nodePath} --no-warnings\n`;
  if (Buffer.byteLength(shebang) > MAX_SHEBANG_BYTES) {
    throw new TapirError({
      code: Code.INVALID_ARGUMENT,
      operation: "bundle",
      object: "the shim",
      cause: `the path of Node, ${nodePath}, is too long for the first line of a program`,
      hint: "work in a directory with a shorter path",
    });
  }
  const files = await bundle(options, shebang);
  const revision = revisionOf(files);
  const note = join(outDir, "revision");
  if (existsSync(note) && readFileSync(note, "utf8") === revision) return false;
  mkdirSync(outDir, { recursive: true });
  for (const [name, path] of findNatives()) copyNative(path, join(outDir, name));
  // ES modules without the ending .mjs: the programs have names without one.
  replace(join(outDir, "package.json"), '{ "type": "module" }\n', 0o644);
  for (const { name, text, program } of files) replace(join(outDir, name), text, program ? 0o755 : 0o644);
  replace(note, revision, 0o644);
  return true;
}

interface OutputFile {
  readonly name: string;
  readonly text: string;
  readonly program: boolean;
}

/** All files, the programs last: what they load is there before them. */
async function bundle(options: BundleOptions, shebang: string): Promise<OutputFile[]> {
  const entryPoints = Object.fromEntries(
    Object.entries(PROGRAMS).filter(([, source]) => existsSync(join(PROJECT, source))),
  );
  const { version } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as { version: string };
  const { sandboxModule } = options;
  try {
    const result = await build({
      absWorkingDir: PROJECT,
      entryPoints,
      outdir: options.outDir,
      chunkNames: "[name]-[hash]",
      bundle: true,
      splitting: true,
      write: false,
      format: "esm",
      platform: "node",
      target: "node24",
      legalComments: "none",
      minifySyntax: true,
      minifyWhitespace: true,
      lineLimit: 120,
      define: { TAPIR_VERSION: JSON.stringify(version) },
      banner: { js: BANNER },
      logLevel: "silent",
      plugins: [
        nativeModules(),
        {
          name: "sandbox module",
          setup(esbuild) {
            esbuild.onResolve({ filter: /\/sandbox\/sandbox\.ts$/ }, () =>
              sandboxModule === undefined ? undefined : { path: sandboxModule },
            );
          },
        },
      ],
    });
    return result.outputFiles
      .map(({ path, text }) => {
        const base = path.slice(options.outDir.length + 1);
        const name = base.replace(/\.js$/, "");
        return name in entryPoints
          ? { name, text: shebang + text, program: true }
          : { name: base, text, program: false };
      })
      .sort((a, b) => Number(a.program) - Number(b.program));
  } catch (error) {
    throw wrapError(error, { operation: "bundle", object: "the shim" });
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

function replace(path: string, text: string, mode: number): void {
  writeFileSync(`${path}.new`, text, { mode });
  renameSync(`${path}.new`, path);
}

if (import.meta.main) {
  try {
    await bundleShim({ nodePath: process.execPath, outDir: join(PROJECT, "build/shim") });
  } catch (error) {
    process.stderr.write(`bundle: ${reasonOf(error)}\n`);
    process.exit(1);
  }
}
