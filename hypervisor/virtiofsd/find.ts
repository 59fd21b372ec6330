import { accessSync, constants, readFileSync } from "node:fs";
import { join } from "node:path";
import { TapirError, wrapError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";

/** The two programs of this name: the one written in C, until QEMU 7.2, and its successor in Rust. */
export type VirtiofsdFlavour = "c" | "rust";

export interface VirtiofsdProgram {
  readonly path: string;
  readonly flavour: VirtiofsdFlavour;
}

/** Where distributions put it, the newer program first. */
const KNOWN_PATHS = ["/usr/libexec/virtiofsd", "/usr/lib/virtiofsd", "/usr/lib/qemu/virtiofsd"];
const HINT =
  'install it (Debian 12: qemu-system-common, Debian 13, Fedora, Ubuntu: virtiofsd) or set "hypervisor.qemu.virtiofsd"';

/** The program at `configured`, or for "" the installed one. Errors: NOT_FOUND, FAILED_PRECONDITION when it is something else. */
export function findVirtiofsd(configured: string): VirtiofsdProgram {
  const candidates = configured === "" ? [...KNOWN_PATHS, ...onPath()] : [configured];
  const path = candidates.find(isExecutable);
  if (path === undefined) {
    throw new TapirError({
      code: Code.NOT_FOUND,
      operation: "find",
      object: "virtiofsd",
      cause: `there is no program at ${candidates.join(", ")}`,
      hint: HINT,
    });
  }
  return { path, flavour: readFlavour(path) };
}

/**
 * Tells them apart by the words they know: only the newer one has long options for what it shares. Asking it for its version
 * would cost a process.
 */
export function flavourOf(program: Buffer): VirtiofsdFlavour | undefined {
  if (!program.includes("vhost-user")) return undefined;
  if (program.includes("announce-submounts")) return "rust";
  return program.includes("announce_submounts") ? "c" : undefined;
}

function readFlavour(path: string): VirtiofsdFlavour {
  let flavour: VirtiofsdFlavour | undefined;
  try {
    flavour = flavourOf(readFileSync(path));
  } catch (error) {
    throw wrapError(error, { operation: "read", object: path, hint: HINT });
  }
  if (flavour !== undefined) return flavour;
  throw new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "use",
    object: path,
    cause: "it is no virtiofsd that can announce submounts",
    hint: HINT,
  });
}

function onPath(): string[] {
  const folders = (process.env.PATH ?? "").split(":").filter((folder) => folder.startsWith("/"));
  return folders.map((folder) => join(folder, "virtiofsd"));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
