import { createHash } from "node:crypto";
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { TapirError, wrapError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";
import { closeOver, type DebianPackage, parsePackages } from "./apt.ts";
import { KERNEL_META_PACKAGE, ROOT_PACKAGES } from "./contents.ts";
import { readRemembered, remember } from "./memory.ts";
import { runTool } from "./tool.ts";

const UPDATE_HINT = "check the network and run apt-get update";

/** Where apt's view of the world lives: when none of these changed, neither did an answer of apt-cache. */
const APT_STATE = [
  "/var/lib/apt/lists/*",
  "/etc/apt/sources.list",
  "/etc/apt/sources.list.d/*",
  "/etc/apt/preferences.d/*",
];

/**
 * The packages of the image and all they depend on, in the versions apt would install. Asks apt-cache only when
 * apt's lists changed since the answer was remembered in `cacheDir`.
 */
export async function resolveGuestPackages(cacheDir: string): Promise<DebianPackage[]> {
  const roots = [KERNEL_META_PACKAGE, ...ROOT_PACKAGES];
  const question = createHash("sha256")
    .update(JSON.stringify([roots, aptStamp()]))
    .digest("hex");
  const remembered = readRemembered<DebianPackage[]>(cacheDir, "packages", question);
  if (remembered !== undefined) return remembered;
  const packages = await closeOver(
    roots,
    async (names) => {
      // apt-cache fails when one of the names is unknown but still prints the others: the caller names what is missing.
      const text = await runTool("apt-cache", ["show", "--no-all-versions", ...names]).catch(
        (error: unknown) => {
          if (error instanceof TapirError && error.code === Code.FAILED_PRECONDITION) throw error;
          return "";
        },
      );
      return parsePackages(text);
    },
    needsOf,
  );
  remember(cacheDir, "packages", question, packages);
  return packages;
}

/** The kernel's own dependencies build an initramfs on a host: the guest has another one. */
function needsOf({ name, depends }: DebianPackage): readonly string[] {
  if (name === KERNEL_META_PACKAGE) return depends.filter((need) => need.startsWith("linux-image-"));
  return name.startsWith("linux-image-") ? [] : depends;
}

function aptStamp(): string[] {
  return globSync(APT_STATE)
    .sort()
    .map((path) => {
      const { size, mtimeMs } = statSync(path);
      return `${path} ${size} ${mtimeMs}`;
    });
}

/** Downloads what is not yet in `cacheDir/debs`, checks every sha256, returns the paths of the .deb files. */
export async function downloadPackages(
  packages: readonly DebianPackage[],
  cacheDir: string,
): Promise<string[]> {
  const debs = join(cacheDir, "debs");
  const missing = packages.filter((wanted) => !existsSync(debPath(debs, wanted)));
  if (missing.length > 0) await download(missing, debs);
  return packages.map((wanted) => debPath(debs, wanted));
}

/** The hash in the name: a file that is there is the right one, because it was checked before it got the name. */
function debPath(debs: string, wanted: DebianPackage): string {
  return join(debs, `${wanted.sha256.slice(0, 16)}-${basename(wanted.file)}`);
}

async function download(packages: readonly DebianPackage[], debs: string): Promise<void> {
  const incoming = join(debs, `incoming-${process.pid}`);
  mkdirSync(incoming, { recursive: true });
  try {
    const names = packages.map((wanted) => `${wanted.name}=${wanted.version}`);
    // Root would hand the download to user _apt, who may not write here.
    await runTool("apt-get", ["download", "-q", "-o", "APT::Sandbox::User=root", ...names], {
      cwd: incoming,
      hint: UPDATE_HINT,
    });
    for (const wanted of packages) {
      const [found] = globSync(join(incoming, `${wanted.name}_*.deb`));
      if (found === undefined) throw notDownloaded(wanted, "apt-get did not bring it");
      const sha256 = createHash("sha256").update(readFileSync(found)).digest("hex");
      if (sha256 !== wanted.sha256)
        throw notDownloaded(wanted, `its sha256 is ${sha256}, not ${wanted.sha256}`);
      renameSync(found, debPath(debs, wanted));
    }
  } catch (error) {
    throw wrapError(error, { operation: "download", object: "Debian packages" });
  } finally {
    rmSync(incoming, { recursive: true, force: true });
  }
}

function notDownloaded(wanted: DebianPackage, cause: string): TapirError {
  return new TapirError({
    code: Code.UNAVAILABLE,
    operation: "download",
    object: `${wanted.name} ${wanted.version}`,
    cause,
    hint: UPDATE_HINT,
  });
}

/** Unpacks .deb files, without running anything of theirs, over each other into `target`. */
export async function extractPackages(debs: readonly string[], target: string): Promise<void> {
  mkdirSync(target, { recursive: true });
  for (const deb of debs) await runTool("dpkg-deb", ["-x", deb, target]);
}
