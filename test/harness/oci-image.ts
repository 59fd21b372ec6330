import { createHash } from "node:crypto";
import { arch } from "node:os";
import { type TarEntry, tar } from "./archive.ts";

/** The part of an image's configuration that says how its containers run (image-spec 1.0, config.md). */
export interface ContainerDefaults {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly User?: string;
  readonly WorkingDir?: string;
}

export interface OciImage {
  /** The whole reference, with its tag. */
  readonly name: string;
  /** Uncompressed layers, the lowest first; images may share them. */
  readonly layers: readonly Buffer[];
  readonly defaults: ContainerDefaults;
}

/** An OCI image layout (image-spec 1.0) as one tar archive. The same images give the same bytes. */
export function ociArchive(images: readonly OciImage[]): Buffer {
  const parts = images.map((image) => imageParts(image));
  const blobs = new Map(parts.flatMap(({ blobs }) => blobs.map((blob) => [hex(blob), blob] as const)));
  return tar([
    { path: "oci-layout", content: json({ imageLayoutVersion: "1.0.0" }) },
    { path: "index.json", content: json({ schemaVersion: 2, manifests: parts.map(({ entry }) => entry) }) },
    { path: "blobs/", directory: true },
    { path: "blobs/sha256/", directory: true },
    ...[...blobs].map(([name, content]): TarEntry => ({ path: `blobs/sha256/${name}`, content })),
  ]);
}

function imageParts({ name, layers, defaults }: OciImage) {
  const config = json({
    architecture: arch() === "arm64" ? "arm64" : "amd64",
    os: "linux",
    config: defaults,
    rootfs: { type: "layers", diff_ids: layers.map(digest) },
  });
  const manifest = json({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: descriptor("application/vnd.oci.image.config.v1+json", config),
    layers: layers.map((layer) => descriptor("application/vnd.oci.image.layer.v1.tar", layer)),
  });
  const entry = {
    ...descriptor("application/vnd.oci.image.manifest.v1+json", manifest),
    annotations: { "io.containerd.image.name": name },
  };
  return { entry, blobs: [...layers, config, manifest] };
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const hex = (content: Buffer): string => createHash("sha256").update(content).digest("hex");
const digest = (content: Buffer): string => `sha256:${hex(content)}`;
const descriptor = (mediaType: string, content: Buffer) => ({
  mediaType,
  digest: digest(content),
  size: content.length,
});
