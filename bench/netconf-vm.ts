import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Deadline } from "../sys/deadline.ts";
import { bareMachine } from "./bare-machine.ts";
import { startBareQemu } from "./bare-qemu.ts";
import { IMAGE, PROGRAM_INIT, writeProgramInitramfs } from "./guest-program.ts";
import type { Times } from "./netconf-work.ts";

const RESULT = "bench:netconf ";
const NICS = 8;

/** Boots the guest's image with bench/netconf-guest.ts in the place of the agent; what it measured. */
export async function measureInGuest(deadline: Deadline): Promise<Times[]> {
  const directory = mkdtempSync(join(tmpdir(), "tapir-netconf-"));
  const initramfs = join(directory, "initramfs");
  const console = join(directory, "console");
  writeFileSync(console, "");
  await writeProgramInitramfs(initramfs, join(import.meta.dirname, "netconf-guest.ts"));
  const nics = Array.from({ length: NICS }, (_, at) => [
    ...["-netdev", `hubport,id=n${at},hubid=${at}`],
    ...["-device", `virtio-net-pci,netdev=n${at},mac=02:00:00:00:40:0${at},romfile=`],
  ]);
  const machine = bareMachine({
    ...{ memoryMiB: 384, vcpus: 1, initramfs, init: PROGRAM_INIT },
    console: `file,id=console,path=${console}`,
  });
  const qemu = await startBareQemu([...machine, ...IMAGE, ...nics.flat()], []);
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
