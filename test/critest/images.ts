import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { arch } from "node:os";
import { type TarEntry, tar } from "../harness/archive.ts";
import { type OciImage, ociArchive } from "../harness/oci-image.ts";
import { findBusybox } from "../harness/pause-image.ts";
import { built, PROJECT } from "../harness/project.ts";

/** The images that critest lets its caller choose (`--test-images-file`). */
export const CHOSEN_IMAGES = {
  defaultTestContainerImage: "tapir.test/busybox:1",
  webServerTestImage: "tapir.test/web:1",
} as const;

// Names that critest has in its source. The images are here before it asks, so it pulls none of them.
const E2E = "registry.k8s.io/e2e-test-images";
const STAGING = "gcr.io/k8s-staging-cri-tools";

const ENV = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"];

/** All images of the suite in one OCI archive: busybox and what its specs ask of nginx, httpd and others. */
export function critestImages(): Buffer {
  const base = tar([...programs(), ...accounts(), ...directories()]);
  const printsUid = tar([{ path: "nnp", mode: 0o4755, content: readFileSync(built(NONEWPRIVS)) }]);
  const defaultUser = tar(accounts(["default-user", 1000], ["group-defined-in-image", 50_000]));
  const image = (name: string, more: Partial<OciImage["defaults"]>, ...layers: Buffer[]): OciImage => ({
    name,
    layers: [base, ...layers],
    defaults: { Env: ENV, WorkingDir: "/", ...more },
  });
  const web = tar([script("usr/sbin/nginx", webServer("/var/run/nginx.pid"))]);
  const httpd = tar([script("usr/sbin/httpd-foreground", webServer("/var/run/httpd.pid"))]);
  const nginx = { Entrypoint: ["nginx", "master process"] };
  return ociArchive([
    image(CHOSEN_IMAGES.defaultTestContainerImage, { Cmd: ["sh"] }),
    image(CHOSEN_IMAGES.webServerTestImage, { ...nginx, Cmd: ["80"] }, web),
    image(`${E2E}/nginx:1.14-2`, { ...nginx, Cmd: ["80"] }, web),
    image(`${STAGING}/hostnet-nginx-${goArch()}:latest`, { ...nginx, Cmd: ["12003"] }, web),
    image(`${E2E}/httpd:2.4.39-4`, { Entrypoint: ["httpd-foreground", "httpd -D FOREGROUND", "80"] }, httpd),
    image(`${E2E}/nonewprivs:1.3`, { Entrypoint: ["/nnp"] }, printsUid),
    image(`${STAGING}/test-image-predefined-group:latest`, { User: "1000" }, defaultUser),
  ]);
}

const NONEWPRIVS = `${PROJECT}/build/critest/nonewprivs`;
const goArch = (): string => (arch() === "arm64" ? "arm64" : "amd64");

const script = (path: string, content: string): TarEntry => ({
  path,
  mode: 0o755,
  content: Buffer.from(`#!/bin/sh\n${content}`),
});

/**
 * A web server whose process 1 has the name of the script, the words "master process" (its first argument) on its
 * command line, its pid in a file, and which says what it is on its standard output: what specs look for.
 */
const webServer = (pidFile: string): string => `echo "$1"
echo $$ >${pidFile}
httpd -f -p "$2" -h /srv &
trap 'kill $!; exit 0' TERM INT QUIT
wait
`;

/** Hard links: a spec masks /bin/ls, which must not mask what everything is a link to. */
function programs(): TarEntry[] {
  const busybox = findBusybox();
  const applets = execFileSync(busybox, ["--list"], { encoding: "utf8" }).trim().split("\n");
  return [
    { path: "bin/", directory: true },
    { path: "bin/busybox", mode: 0o755, content: withoutOwnLs(readFileSync(busybox)) },
    ...applets
      .filter((name) => name !== "busybox" && name !== "ls")
      .map((name) => ({ path: `bin/${name}`, mode: 0o755, sameAs: "bin/busybox" })),
    script("bin/ls", 'exec busybox lp "$@"\n'),
    // Applets that Debian leaves out; as far as specs need them.
    script("bin/pgrep", 'pidof "$1"\n'),
    script("bin/ipcs", "cat /proc/sysvipc/shm\n"),
  ];
}

/**
 * Debian's static busybox is a rescue shell: it runs `ls` without a look at /bin/ls, which a spec masks. With the
 * applet under another name (that keeps the table sorted) the shell has to look.
 */
function withoutOwnLs(busybox: Buffer): Buffer {
  const name = busybox.indexOf("\0losetup\0ls\0lsmod\0");
  if (name !== -1) busybox.write("lp", name + "\0losetup\0".length);
  return busybox;
}

function accounts(user?: [string, number], group?: [string, number]): TarEntry[] {
  const users = [["root", 0], ["www-data", 33], ["nobody", 65_534], ...(user === undefined ? [] : [user])];
  const passwd = users.map(([name, id]) => `${name}:x:${id}:${id}:${name}:/:/bin/sh\n`);
  const groups = users.map(([name, id]) => `${name}:x:${id}:\n`);
  if (group !== undefined) groups.push(`${group[0]}:x:${group[1]}:${user?.[0] ?? ""}\n`);
  return [
    { path: "etc/", directory: true },
    { path: "etc/passwd", content: Buffer.from(passwd.join("")) },
    { path: "etc/group", content: Buffer.from(groups.join("")) },
  ];
}

function directories(): TarEntry[] {
  const paths = ["dev/", "proc/", "root/", "run/", "srv/", "sys/", "usr/", "usr/bin/", "usr/sbin/", "var/"];
  return [
    ...paths.map((path) => ({ path, directory: true as const })),
    { path: "tmp/", directory: true, mode: 0o1777 },
    { path: "var/run", link: "../run", mode: 0o777 },
    { path: "srv/index.html", content: Buffer.from("Welcome\n") },
  ];
}
