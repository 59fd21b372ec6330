import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundleAgent } from "../guest/bundle-agent.ts";
import { AGENT_FOLDER, GUEST_INIT } from "../guest/contents.ts";
import { writeCpio } from "../guest/cpio.ts";
import { BUILT, built, PROJECT } from "../test/harness/project.ts";

/** What boots the guest's image with another program in the place of the agent. */
export const PROGRAM_INIT = "/bench-init";

/** Words of a command line that give a machine the image. */
export const IMAGE = [
  ...["-drive", `if=none,id=root,format=raw,readonly=on,file=${join(BUILT.guest, "root.erofs")}`],
  ...["-device", "virtio-blk-pci,drive=root"],
] as const;

/** Writes an initramfs whose guest runs `program` as process 1. */
export async function writeProgramInitramfs(initramfs: string, program: string): Promise<void> {
  const { script } = await bundleAgent(program);
  const entries = writeCpio([
    { kind: "file", path: "bench.mjs", content: script },
    { kind: "file", path: PROGRAM_INIT.slice(1), mode: 0o755, content: Buffer.from(initScript()) },
  ]);
  const usual = readFileSync(built(join(BUILT.guest, "initramfs.cpio")));
  writeFileSync(initramfs, Buffer.concat([usual, entries]));
}

/** guest/init, with our script over the agent's. */
function initScript(): string {
  const { key } = JSON.parse(readFileSync(join(BUILT.guest, "manifest.json"), "utf8")) as { key: string };
  const cover = `mount -o bind /bench.mjs /root/${AGENT_FOLDER}/main.mjs || fail "cannot cover the agent"`;
  return readFileSync(join(PROJECT, "guest/init"), "utf8")
    .replaceAll("@KEY@", key)
    .replace("@EXEC@", GUEST_INIT.join(" "))
    .replace("mount --move /dev", `${cover}\nmount --move /dev`);
}
