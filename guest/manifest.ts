import { createHash } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../sys/error.ts";

/** `manifest.json` of a guest image: what is in it and how it wants to be booted. */
export interface GuestManifest {
  /** Names everything the image was made from: the same key, the same bytes. */
  readonly key: string;
  /** `uname -r` in the guest. */
  readonly kernelRelease: string;
  readonly nodeVersion: string;
  /** Debian packages, by name. */
  readonly packages: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<GuestFile, { readonly sha256: string; readonly size: number }>>;
}

export const GUEST_FILES = ["vmlinuz", "initramfs.cpio", "root.erofs"] as const;
export type GuestFile = (typeof GUEST_FILES)[number];

const MANIFEST = "manifest.json";

/** Hashes the files of `folder` and writes its manifest. */
export function writeManifest(folder: string, facts: Omit<GuestManifest, "files">): GuestManifest {
  const files = Object.fromEntries(
    GUEST_FILES.map((name) => {
      const content = readFileSync(join(folder, name));
      const sha256 = createHash("sha256").update(content).digest("hex");
      return [name, { sha256, size: content.length }];
    }),
  ) as GuestManifest["files"];
  const manifest = { ...facts, files };
  writeFileSync(join(folder, MANIFEST), `${JSON.stringify(manifest, undefined, 2)}\n`);
  return manifest;
}

/** The manifest in `folder` if it has this key and all its files are there in full; else undefined. */
export function readCurrentManifest(folder: string, key: string): GuestManifest | undefined {
  try {
    const manifest = JSON.parse(readFileSync(join(folder, MANIFEST), "utf8")) as GuestManifest;
    const whole = GUEST_FILES.every(
      (name) => statSync(join(folder, name)).size === manifest.files[name].size,
    );
    return manifest.key === key && whole ? manifest : undefined;
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || error instanceof SyntaxError || error instanceof TypeError)
      return undefined;
    throw error;
  }
}
