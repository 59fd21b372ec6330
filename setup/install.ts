import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { reasonOf } from "../sys/error.ts";
import { bundleShim } from "./bundle.ts";
import { PROJECT } from "./command.ts";

/**
 * `npm run install-node`: puts what the set-up built where a node runs it from. Run again, it upgrades: every file
 * is replaced by renaming, so pods that run keep what they started with.
 */
const PLACES = {
  programs: "/usr/local/lib/tapir",
  links: "/usr/local/bin",
  // The defaults of configuration.toml.
  guest: "/usr/share/tapir",
  configuration: "/etc/tapir/configuration.toml",
  // Where systemd looks for what an administrator installed himself.
  units: "/usr/local/lib/systemd/system",
} as const;

/** Of the VM cache; it is there, and off until somebody enables it. */
const UNIT = "tapir-factory.service";

/** `root` is put before every path: "" for this machine, a directory to make a package of. */
async function install(root: string): Promise<void> {
  const place = (path: string): string => join(root === "" ? "/" : root, path);
  const node = join(place(PLACES.programs), "node");
  const shim = join(place(PLACES.programs), "shim");
  replace(node, (target) => copyFileSync(process.execPath, target));
  await bundleShim({
    nodePath: join(PLACES.programs, "node"),
    outDir: shim,
    place: join(PLACES.programs, "shim"),
  });
  for (const program of ["containerd-shim-tapir-v2", "tapir"]) {
    const link = join(PLACES.programs, "shim", program);
    replace(join(place(PLACES.links), program), (target) => symlinkSync(link, target));
  }
  const guest = join(PROJECT, "build/guest");
  for (const file of readdirSync(guest)) {
    replace(join(place(PLACES.guest), file), (target) => copyFileSync(join(guest, file), target));
  }
  replace(join(place(PLACES.units), UNIT), (target) =>
    copyFileSync(join(PROJECT, "configs/systemd", UNIT), target),
  );
  const configuration = place(PLACES.configuration);
  // An operator's file is his.
  if (!existsSync(configuration)) {
    replace(configuration, (target) => copyFileSync(join(PROJECT, "configs/configuration.toml"), target));
  }
}

function replace(path: string, make: (target: string) => void): void {
  mkdirSync(dirname(path), { recursive: true });
  make(`${path}.new`);
  renameSync(`${path}.new`, path);
  process.stdout.write(`  ok  ${path}\n`);
}

try {
  const { values } = parseArgs({ options: { root: { type: "string", default: "" } } });
  await install(values.root);
  process.stdout.write("tell containerd of the runtime: see configs/containerd, then restart it\n");
  process.stdout.write(`to keep VMs ready: factory.cache_size, then systemctl enable --now ${UNIT}\n`);
} catch (error) {
  process.stderr.write(`install: ${reasonOf(error)}\n`);
  process.exitCode = 1;
}
