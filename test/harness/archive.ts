/** One entry of a tar archive: a file with `content`, a directory, a symbolic or a hard link. */
export interface TarEntry {
  readonly path: string;
  readonly mode?: number;
  readonly content?: Buffer;
  /** Target of a symbolic link. */
  readonly link?: string;
  /** Path of an earlier entry that is the same file. */
  readonly sameAs?: string;
  readonly directory?: true;
}

const BLOCK = 512;

/** A POSIX ustar archive whose bytes depend on `entries` alone: owner 0:0, times 0. */
export function tar(entries: readonly TarEntry[]): Buffer {
  return Buffer.concat([
    ...entries.flatMap((entry) => [header(entry), padded(entry.content)]),
    Buffer.alloc(2 * BLOCK),
  ]);
}

function padded(content: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)]);
}

function header(entry: TarEntry): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, offset: number, length: number): void => {
    block.write(value.toString(8).padStart(length - 1, "0"), offset, "latin1");
  };
  block.write(entry.path, 0, 100);
  octal(entry.mode ?? (entry.directory ? 0o755 : 0o644), 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(entry.content?.length ?? 0, 124, 12);
  octal(0, 136, 12);
  block.fill(" ", 148, 156);
  block.write(typeOf(entry), 156);
  block.write(entry.link ?? entry.sameAs ?? "", 157, 100);
  block.write("ustar\0" + "00", 257, "latin1");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

function typeOf(entry: TarEntry): string {
  if (entry.sameAs !== undefined) return "1";
  if (entry.link !== undefined) return "2";
  return entry.directory ? "5" : "0";
}
