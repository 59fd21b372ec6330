/** One entry of an initramfs. `rdev` is [major, minor]. */
export type CpioEntry =
  | { readonly kind: "directory"; readonly path: string; readonly mode?: number }
  | { readonly kind: "file"; readonly path: string; readonly mode?: number; readonly content: Buffer }
  | { readonly kind: "symlink"; readonly path: string; readonly target: string }
  | {
      readonly kind: "device";
      readonly path: string;
      readonly mode: number;
      readonly rdev: readonly [number, number];
    };

const TYPE = { directory: 0o040000, file: 0o100000, symlink: 0o120000, device: 0o020000 } as const;
const DEFAULT_MODE = { directory: 0o755, file: 0o644, symlink: 0o777 } as const;

/**
 * A "newc" archive as the kernel unpacks it (Documentation/driver-api/early-userspace/buffer-format.rst): owner
 * root, no times, inode numbers by position; the same entries give the same bytes. Parents come before children.
 */
export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  const parts = entries.flatMap((entry, index) => record(entry, index + 1));
  return Buffer.concat([...parts, ...member("TRAILER!!!", 0, 0, Buffer.alloc(0), [0, 0])]);
}

function record(entry: CpioEntry, inode: number): Buffer[] {
  switch (entry.kind) {
    case "directory":
      return member(entry.path, inode, TYPE.directory | (entry.mode ?? DEFAULT_MODE.directory));
    case "file":
      return member(entry.path, inode, TYPE.file | (entry.mode ?? DEFAULT_MODE.file), entry.content);
    case "symlink":
      return member(entry.path, inode, TYPE.symlink | DEFAULT_MODE.symlink, Buffer.from(entry.target));
    case "device":
      return member(entry.path, inode, TYPE.device | entry.mode, Buffer.alloc(0), entry.rdev);
  }
}

function member(
  path: string,
  inode: number,
  mode: number,
  content: Buffer = Buffer.alloc(0),
  rdev: readonly [number, number] = [0, 0],
): Buffer[] {
  const name = Buffer.from(`${path}\0`);
  const links = mode >> 12 === 4 ? 2 : 1;
  const fields = [inode, mode, 0, 0, links, 0, content.length, 0, 0, rdev[0], rdev[1], name.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`);
  return [header, name, padding(header.length + name.length), content, padding(content.length)];
}

/** Names and contents end on multiples of four bytes. */
function padding(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4);
}
