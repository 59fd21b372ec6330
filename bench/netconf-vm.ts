import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { bundleAgent } from "../guest/bundle-agent.ts";
import { AGENT_FOLDER, GUEST_INIT } from "../guest/contents.ts";
import { writeCpio } from "../guest/cpio.ts";
import type { Deadline } from "../sys/deadline.ts";
import { BUILT, built, PROJECT } from "../test/harness/project.ts";
import { startBareQemu } from "./bare-qemu.ts";
import type { Times } from "./netconf-work.ts";

const RESULT = "bench:netconf ";
const NICS = 8;

/** Boots the guest's image with bench/netconf-guest.ts in the place of the agent; what it measured. */
export async function measureInGuest(deadline: Deadline): Promise<Times[]> {
  const directory = mkdtempSync(join(tmpdir(), "tapir-netconf-"));
  const initramfs = join(directory, "initramfs");
  const console = join(directory, "console");
  const { script } = await bundleAgent(join(import.meta.dirname, "netconf-guest.ts"));
  writeFileSync(console, "");
  writeFileSync(
    initramfs,
    Buffer.concat([
      readFileSync(built(join(BUILT.guest, "initramfs.cpio"))),
      writeCpio([
        { kind: "file", path: "bench.mjs", content: script },
        { kind: "file", path: "bench-init", mode: 0o755, content: Buffer.from(initScript()) },
      ]),
    ]),
  );
  const nics = Array.from({ length: NICS }, (_, at) => [
    ...["-netdev", `hubport,id=n${at},hubid=${at}`],
    ...["-device", `virtio-net-pci,netdev=n${at},mac=02:00:00:00:40:0${at},romfile=`],
  ]);
  const qemu = await startBareQemu(
    [
      ...["-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35", "-m", "384M"],
      ...["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max,la57=off", "-smp", "1"],
      ...["-kernel", join(BUILT.guest, "vmlinuz"), "-initrd", initramfs],
      ...["-append", "rdinit=/bench-init console=hvc0 quiet net.ifnames=0 tsc=reliable no_timer_check"],
      ...["-drive", `if=none,id=root,format=raw,readonly=on,file=${join(BUILT.guest, "root.erofs")}`],
      ...["-device", "virtio-blk-pci,drive=root"],
      ...["-chardev", `file,id=console,path=${console}`],
      ...["-device", "virtio-serial-pci", "-device", "virtconsole,chardev=console"],
      ...nics.flat(),
    ],
    [],
  );
  try {
    for (;;) {
      const said = readFileSync(console, "utf8")
        .split("\n")
        .find((line) => line.startsWith(RESULT));
      if (said !== undefined) return resultOf(said);
      await deadline.race(sleep(200)).catch((error: unknown) => {
        throw new Error(`${error}; the console: ${readFileSync(console, "utf8").slice(-2000)}`);
      });
    }
  } finally {
    await qemu.end();
    rmSync(directory, { recursive: true });
  }
}

function resultOf(line: string): Times[] {
  const { times, error } = JSON.parse(line.slice(RESULT.length)) as { times?: Times[]; error?: string };
  if (times === undefined) throw new Error(`in the guest: ${error}`);
  return times;
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
