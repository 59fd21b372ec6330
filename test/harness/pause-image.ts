import { readFileSync, statSync } from "node:fs";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { type TarEntry, tar } from "./archive.ts";
import { ociArchive } from "./oci-image.ts";
import { PROJECT } from "./project.ts";

/** The image that sandboxes of the private containerd are made from; nothing is ever pulled. */
export const PAUSE_IMAGE = "tapir.test/pause:1";

/** Where a static busybox is looked for: what the set-up unpacked first, then the machine's own. */
const BUSYBOX_PATHS = [`${PROJECT}/build/bin/busybox`, "/bin/busybox", "/usr/bin/busybox"];

const APPLETS = ["sh", "sleep", "ip", "ping", "cat", "ls", "hostname", "uname", "wget", "nc", "httpd", "id"];

// Not `sleep`: a spec of critest looks for processes of that name in the pod.
const PAUSE_SCRIPT = `#!/bin/sh
trap 'exit 0' TERM INT
while :; do usleep 3600000000 & wait $!; done
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
 * The archive of the pause image: busybox with its applets and /pause. The same busybox gives the same bytes.
 */
export function pauseImageArchive(busybox: string): Buffer {
  const rootfs: TarEntry[] = [
    { path: "bin/", directory: true },
    { path: "bin/busybox", mode: 0o755, content: readFileSync(busybox) },
    ...APPLETS.map((name) => ({ path: `bin/${name}`, link: "busybox", mode: 0o777 })),
    ...["dev/", "etc/", "proc/", "sys/", "tmp/"].map((path) => ({ path, directory: true as const })),
    { path: "pause", mode: 0o755, content: Buffer.from(PAUSE_SCRIPT) },
  ];
  return ociArchive([
    {
      name: PAUSE_IMAGE,
      layers: [tar(rootfs)],
      defaults: { Entrypoint: ["/pause"], Env: ["PATH=/bin"], WorkingDir: "/" },
    },
  ]);
}
