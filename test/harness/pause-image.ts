import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { arch } from "node:os";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { type TarEntry, tar } from "./archive.ts";
import { PROJECT } from "./project.ts";

/** The image that sandboxes of the private containerd are made from; nothing is ever pulled. */
export const PAUSE_IMAGE = "tapir.test/pause:1";

/** Where a static busybox is looked for: what the set-up unpacked first, then the machine's own. */
const BUSYBOX_PATHS = [`${PROJECT}/build/bin/busybox`, "/bin/busybox", "/usr/bin/busybox"];

const APPLETS = ["sh", "sleep", "ip", "ping", "cat", "ls", "hostname", "uname", "wget", "nc", "httpd", "id"];

const PAUSE_SCRIPT = `#!/bin/sh
trap 'exit 0' TERM INT
while :; do sleep 3600 & wait $!; done
`;

/** The path of a static busybox. */
export function findBusybox(): string {
  for (const path of BUSYBOX_PATHS) {
    if (statSync(path, { throwIfNoEntry: false })?.isFile()) return path;
  }
  throw new TapirError({
    code: Code.NOT_FOUND,
    operation: "find",
    object: "a static busybox",
    cause: `none of ${BUSYBOX_PATHS.join(", ")}`,
    hint: "run setup/setup.sh",
  });
}

/**
 * An OCI image layout (image-spec 1.0) as one tar archive: busybox with its applets and /pause.
 * The same busybox gives the same bytes.
 */
export function pauseImageArchive(busybox: string): Buffer {
  const rootfs: TarEntry[] = [
    { path: "bin/", directory: true },
    { path: "bin/busybox", mode: 0o755, content: readFileSync(busybox) },
    ...APPLETS.map((name) => ({ path: `bin/${name}`, link: "busybox", mode: 0o777 })),
    ...["dev/", "etc/", "proc/", "sys/", "tmp/"].map((path) => ({ path, directory: true as const })),
    { path: "pause", mode: 0o755, content: Buffer.from(PAUSE_SCRIPT) },
  ];
  const layer = tar(rootfs);
  const config = json({
    architecture: arch() === "arm64" ? "arm64" : "amd64",
    os: "linux",
    config: { Entrypoint: ["/pause"], Env: ["PATH=/bin"], WorkingDir: "/" },
    rootfs: { type: "layers", diff_ids: [digest(layer)] },
  });
  const manifest = json({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: descriptor("application/vnd.oci.image.config.v1+json", config),
    layers: [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
  });
  const index = json({
    schemaVersion: 2,
    manifests: [
      {
        ...descriptor("application/vnd.oci.image.manifest.v1+json", manifest),
        annotations: { "io.containerd.image.name": PAUSE_IMAGE },
      },
    ],
  });
  return tar([
    { path: "oci-layout", content: json({ imageLayoutVersion: "1.0.0" }) },
    { path: "index.json", content: index },
    { path: "blobs/", directory: true },
    { path: "blobs/sha256/", directory: true },
    ...[layer, config, manifest].map((content) => ({ path: `blobs/sha256/${hex(content)}`, content })),
  ]);
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const hex = (content: Buffer): string => createHash("sha256").update(content).digest("hex");
const digest = (content: Buffer): string => `sha256:${hex(content)}`;
const descriptor = (mediaType: string, content: Buffer) => ({
  mediaType,
  digest: digest(content),
  size: content.length,
});
