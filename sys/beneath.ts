import { chmodSync, closeSync, constants, mkdirSync, openSync } from "node:fs";
import koffi from "koffi";
import { errnoOf, systemError } from "./error.ts";
import { libc } from "./libc.ts";

// linux/openat2.h, the same number on every architecture (asm-generic/unistd.h).
const SYS_OPENAT2 = 437;
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_BENEATH = 0x08;

/**
 * Makes sure that `path` is there below the folder `root` and that no part of it is a symbolic link (openat2(2)), in a
 * thread of the pool: the file system's server may never answer. ELOOP: a part is a link; EXDEV: it leads out; ENOENT.
 */
export async function checkBeneath(root: string, path: string): Promise<void> {
  closeSync(await openBeneath(root, path));
}

/** The same, for a folder whose missing parts are made, each with `mode`. */
export async function makeBeneath(root: string, path: string, mode: number): Promise<void> {
  const parts = path.split("/").filter((part) => part !== "");
  for (const [depth, name] of parts.entries()) {
    const parent = await openBeneath(root, parts.slice(0, depth).join("/"));
    try {
      // By the descriptor: what the path leads to may have changed.
      mkdirSync(`/proc/self/fd/${parent}/${name}`);
      chmodSync(`/proc/self/fd/${parent}/${name}`, mode);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
    } finally {
      closeSync(parent);
    }
  }
  await checkBeneath(root, path);
}

function openBeneath(root: string, path: string): Promise<number> {
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(O_PATH | O_CLOEXEC), 0);
  how.writeBigUInt64LE(BigInt(RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH), 16);
  // Of a mount's root: this asks nobody.
  const folder = openSync(root, constants.O_DIRECTORY | O_PATH);
  const relative = path === "" ? "." : path;
  return new Promise((resolve, reject) => {
    libc.openat2.async(SYS_OPENAT2, folder, relative, how, how.length, (error: Error | null, fd: number) => {
      const errno = koffi.errno();
      closeSync(folder);
      if (error !== null) reject(error);
      else if (fd >= 0) resolve(Number(fd));
      else reject(systemError(errno, { operation: "find", object: `${JSON.stringify(path)} below ${root}` }));
    });
  });
}
