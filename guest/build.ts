import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { TapirError, wrapError } from "../sys/error.ts";
import type { DebianPackage } from "./apt.ts";
import { BOOT_MODULES } from "./boot-modules.ts";
import { type AgentBundle, bundleAgent, findNode } from "./bundle-agent.ts";
import { GUEST_INIT } from "./contents.ts";
import { buildErofs, uuidOf } from "./erofs.ts";
import { buildInitramfs } from "./initramfs.ts";
import { openKernel } from "./kernel.ts";
import { keyOf } from "./key.ts";
import { type GuestManifest, readCurrentManifest, writeManifest } from "./manifest.ts";
import { downloadPackages, extractPackages, resolveGuestPackages } from "./packages.ts";
import { report, step } from "./progress.ts";
import { layOutRoot } from "./root.ts";
import { runTool } from "./tool.ts";

const SOURCES = dirname(fileURLToPath(import.meta.url));

export interface BuildOptions {
  /** Where the image goes; replaced as a whole. */
  readonly output: string;
  /** Where downloads are kept from build to build. */
  readonly cache: string;
  /** The agent's first source file. */
  readonly agent: string;
  /** Kernel modules beside the guest's own: a test's. */
  readonly modules?: readonly string[];
}

/** The options of `npm run guest`, from the environment. */
export function defaultOptions(env: Readonly<Record<string, string | undefined>>): BuildOptions {
  const home = dirname(SOURCES);
  return {
    output: env.TAPIR_GUEST_DIR ?? join(home, "build/guest"),
    cache: env.TAPIR_CACHE_DIR ?? "/var/cache/tapir",
    agent: env.TAPIR_AGENT_ENTRY ?? join(home, "agent/main.ts"),
  };
}

/** Builds the guest image unless `output` already holds the one of the same inputs. */
export async function buildGuest(options: BuildOptions): Promise<GuestManifest> {
  const node = findNode();
  const [packages, agent, tools] = await Promise.all([
    resolveGuestPackages(options.cache),
    bundleAgent(options.agent),
    runTool("dpkg-query", ["-W", "erofs-utils", "kmod"], {
      hint: "apt-get install erofs-utils kmod",
    }),
  ]);
  const key = keyOf({
    sources: SOURCES,
    packages,
    nodeVersion: node.version,
    agent,
    tools: [tools, ...(options.modules ?? [])],
  });
  const current = readCurrentManifest(options.output, key);
  if (current !== undefined) return current;

  mkdirSync(dirname(options.output), { recursive: true });
  const work = `${options.output}.building-${process.pid}`;
  rmSync(work, { recursive: true, force: true });
  try {
    const image = join(work, "image");
    mkdirSync(image, { recursive: true });
    const manifest = await buildInto(image, work, options, { key, packages, agent, node });
    // A folder cannot take the place of another in one step: the old one steps aside first. Guests that run on
    // it keep its files open.
    if (existsSync(options.output)) renameSync(options.output, join(work, "old"));
    renameSync(image, options.output);
    return manifest;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

interface Ingredients {
  readonly key: string;
  readonly packages: readonly DebianPackage[];
  readonly agent: AgentBundle;
  readonly node: { readonly path: string; readonly version: string };
}

async function buildInto(
  image: string,
  work: string,
  { cache, modules = [] }: BuildOptions,
  inputs: Ingredients,
): Promise<GuestManifest> {
  const { key, packages, agent, node } = inputs;
  const debs = await step("download packages", () => downloadPackages(packages, cache));
  const debian = join(work, "debian");
  await step("unpack packages", () => extractPackages(debs, debian));
  const kernel = await step("read kernel modules", () => openKernel(debian));
  copyFileSync(kernel.image, join(image, "vmlinuz"));
  await step("make initramfs", () => {
    const init = join(SOURCES, "init");
    const busybox = join(debian, "bin/busybox");
    writeFileSync(
      join(image, "initramfs.cpio"),
      buildInitramfs({ kernel, busybox, init, key, exec: GUEST_INIT }),
    );
  });
  const root = join(work, "root");
  await step("lay out root", () =>
    layOutRoot(root, { kernel, debian, node: node.path, agent, key, modules: [...BOOT_MODULES, ...modules] }),
  );
  await step("make root image", () => buildErofs(root, join(image, "root.erofs"), uuidOf(key)));
  return step("hash", () =>
    writeManifest(image, {
      key,
      kernelRelease: kernel.release,
      nodeVersion: node.version,
      packages: Object.fromEntries(packages.map(({ name, version }) => [name, version])),
    }),
  );
}

if (import.meta.main) {
  try {
    const options = defaultOptions(process.env);
    const { key, files } = await buildGuest(options);
    const sizes = Object.entries(files).map(
      ([name, { size }]) => `${name} ${(size / 2 ** 20).toFixed(1)} MiB`,
    );
    report(`${options.output} is current: key ${key.slice(0, 12)}, ${sizes.join(", ")}`);
  } catch (error) {
    const said =
      error instanceof TapirError ? error : wrapError(error, { operation: "build", object: "guest image" });
    process.stderr.write(`tapir: ${said.message}\n`);
    process.exitCode = 1;
  }
}
