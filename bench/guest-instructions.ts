import { mkdtempSync, openSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { qemuArguments } from "../hypervisor/qemu/arguments.ts";
import { connectAgent } from "../shim/agent-client.ts";
import type { Deadline } from "../sys/deadline.ts";
import { closeAll } from "../sys/fdpass.ts";
import { BUILT, built } from "../test/harness/project.ts";
import { startBareQemu } from "./bare-qemu.ts";

/** One instruction is one nanosecond of the guest's clock, and waiting costs none of the host's time. */
const COUNTING = "shift=0,sleep=off";

/**
 * Boots a guest that counts its instructions and asks its agent when it came how far: millions of instructions since the start of
 * the kernel at each milestone. Repeatable, however busy the machine is; always TCG.
 */
export async function guestInstructions(deadline: Deadline): Promise<Record<string, number>> {
  const directory = mkdtempSync(join(tmpdir(), "tapir-bench-"));
  const agentSocket = join(directory, "agent.sock");
  const image = built(join(BUILT.guest, "root.erofs"));
  const nobody = openSync("/dev/null", "r+");
  const { argv } = qemuArguments(
    {
      name: "instructions",
      directory,
      qemu: "qemu-system-x86_64",
      kernel: built(join(BUILT.guest, "vmlinuz")),
      initramfs: built(join(BUILT.guest, "initramfs.cpio")),
      image,
      imageDriver: "virtio-pmem",
      accelerator: "tcg",
      vcpus: 1,
      memoryMiB: 256,
      rootPorts: 8,
      kernelParameters: [],
      nics: [],
    },
    { imageBytes: statSync(image).size, agentFd: nobody, qmpFd: nobody, consoleFd: nobody },
  );
  const words = argv.map((word) => {
    if (/^socket,id=(qmp|console),/.test(word)) return word.replace("socket", "null").replace(/,fd=\d+/, "");
    if (word.startsWith("socket,id=agent,")) return word.replace(/,fd=\d+/, `,path=${agentSocket}`);
    // One thread runs and counts; the guest's wall clock follows its own.
    return word.replace("thread=multi", "thread=single").replace("clock=host", "clock=vm");
  });
  const qemu = await startBareQemu([...words, "-icount", COUNTING], []);
  try {
    using agent = connectAgent(agentSocket);
    await agent.ready(deadline);
    const { milestones } = await agent.getGuestDetails(deadline);
    return Object.fromEntries(milestones.map(({ name, seconds }) => [name, seconds * 1000]));
  } finally {
    await qemu.end();
    closeAll([nobody]);
    rmSync(directory, { recursive: true });
  }
}
