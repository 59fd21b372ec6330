import { chmodSync, globSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { ROOT_MODULES } from "./boot-modules.ts";
import type { AgentBundle } from "./bundle-agent.ts";
import { AGENT_FOLDER, APPLETS, ETC, FOLDERS, LINKS } from "./contents.ts";
import { trimElf } from "./elf.ts";
import { type Kernel, selectModules } from "./kernel.ts";
import { closeOverLibraries, LIBRARY_FOLDER } from "./libraries.ts";
import { runTool } from "./tool.ts";

export interface RootInputs {
  readonly kernel: Kernel;
  /** Unpacked Debian packages. */
  readonly debian: string;
  /** The Node binary. */
  readonly node: string;
  readonly agent: AgentBundle;
  /** Names this image; the initramfs looks for it. */
  readonly key: string;
  /** Beside ROOT_MODULES: what the initramfs loads, for modprobe's sake, and what a test wants. */
  readonly modules: readonly string[];
}

/** Lays out the guest's root file system in `tree`, an empty folder. Reads nothing but its inputs. */
export async function layOutRoot(tree: string, inputs: RootInputs): Promise<void> {
  const { debian, agent, key } = inputs;
  for (const folder of FOLDERS) makeFolder(join(tree, folder));
  for (const [path, target] of Object.entries(LINKS)) link(tree, path, target);
  for (const [path, content] of Object.entries(ETC)) put(tree, path, Buffer.from(content));
  put(tree, `usr/lib/tapir/image/${key}`, Buffer.alloc(0));

  put(tree, "usr/bin/busybox", readFileSync(join(debian, "bin/busybox")), 0o755);
  for (const path of APPLETS) link(tree, path, relative(dirname(path), "usr/bin/busybox"));
  for (const path of ["usr/bin/catatonit", "usr/bin/crun"]) {
    put(tree, path, readFileSync(join(debian, path)), 0o755);
  }
  put(tree, "usr/bin/node", trimElf(readFileSync(inputs.node)), 0o755);
  put(tree, `${AGENT_FOLDER}/main.mjs`, agent.script);
  for (const [name, path] of agent.natives) put(tree, `${AGENT_FOLDER}/${name}`, readFileSync(path));

  const programs = [join(debian, "usr/bin/crun"), inputs.node, ...agent.natives.values()];
  for (const [name, path] of closeOverLibraries(programs, debian)) {
    put(tree, `${LIBRARY_FOLDER}/${name}`, readFileSync(path), 0o755);
  }
  await layOutModules(tree, inputs);
}

async function layOutModules(tree: string, { kernel, modules }: RootInputs): Promise<void> {
  const folders = ROOT_MODULES.filter((name) => name.endsWith("/"));
  const names = ROOT_MODULES.filter((name) => !name.endsWith("/"));
  const inFolders = [...kernel.graph.keys()].filter((path) =>
    folders.some((folder) => path.startsWith(`kernel/${folder}`)),
  );
  const home = `usr/lib/modules/${kernel.release}`;
  for (const path of selectModules(kernel, [...modules, ...names, ...inFolders])) {
    put(tree, `${home}/${path}`, readFileSync(join(kernel.modules, path)));
  }
  for (const name of ["modules.builtin", "modules.order"]) {
    put(tree, `${home}/${name}`, readFileSync(join(kernel.modules, name)));
  }
  await runTool("depmod", ["-b", tree, kernel.release]);
  // depmod's files get the builder's umask.
  for (const path of globSync(join(tree, home, "modules.*"))) chmodSync(path, 0o644);
}

function put(tree: string, path: string, content: Buffer, mode = 0o644): void {
  const target = join(tree, path);
  makeFolder(dirname(target));
  writeFileSync(target, content);
  chmodSync(target, mode);
}

function link(tree: string, path: string, target: string): void {
  makeFolder(dirname(join(tree, path)));
  symlinkSync(target, join(tree, path));
}

/**
 * With all its parents, readable to all whatever the builder's umask. Modes are set as things are made, never by
 * walking the tree: its absolute links lead out of it, into the builder's own /run and /tmp.
 */
function makeFolder(path: string): void {
  const first = mkdirSync(path, { recursive: true });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) chmodSync(made, 0o755);
}
