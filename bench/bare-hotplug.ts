import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeCpio } from "../guest/cpio.ts";
import type { Deadline } from "../sys/deadline.ts";
import { BUILT, built } from "../test/harness/project.ts";
import { bareMachine } from "./bare-machine.ts";
import { startBareQemu } from "./bare-qemu.ts";

/** The same kernel and drivers, and one small C program that prints what the kernel announces. */
const INIT = `#!/bin/sh
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
modprobe -a $(cat /modules)
echo listening > /dev/hvc0
exec busybox uevent > /dev/hvc0
`;

/** A guest without agent, in a QEMU without us. */
export interface BareHotplug {
  /** Plugs a NIC in and out; milliseconds from device_add to the guest's announcement of the link. */
  cycle(deadline: Deadline): Promise<number>;
  end(): Promise<void>;
}

export async function startBareHotplug(deadline: Deadline): Promise<BareHotplug> {
  const directory = mkdtempSync(join(tmpdir(), "tapir-bench-"));
  const initramfs = join(directory, "initramfs");
  const init = writeCpio([{ kind: "file", path: "bench-init", mode: 0o755, content: Buffer.from(INIT) }]);
  writeFileSync(initramfs, Buffer.concat([readFileSync(built(join(BUILT.guest, "initramfs.cpio"))), init]));
  const console = await listenForConsole(join(directory, "console"));
  const booted = console.sees(/listening/);
  const qemu = await startBareQemu(
    [
      ...bareMachine({
        ...{ memoryMiB: 256, vcpus: 1, initramfs, init: "/bench-init" },
        console: `socket,id=console,path=${join(directory, "console")}`,
      }),
      ...["-device", "pcie-root-port,id=rp0,chassis=1,slot=1"],
    ],
    [],
  );
  const end = async (): Promise<void> => {
    await qemu.end();
    console.close();
    rmSync(directory, { recursive: true });
  };
  try {
    await deadline.race(booted);
  } catch (error) {
    await end();
    throw error;
  }
  return {
    end,
    async cycle(cycleDeadline) {
      await qemu.execute("netdev_add", { type: "hubport", hubid: 0, id: "net" });
      const announced = console.sees(/^add@.*\/net\/eth\d+$/m);
      const started = performance.now();
      const device = { driver: "virtio-net-pci", id: "nic", bus: "rp0", netdev: "net", romfile: "" };
      await Promise.all([qemu.execute("device_add", device), cycleDeadline.race(announced)]);
      const ms = performance.now() - started;
      const deleted = qemu.event("DEVICE_DELETED", { device: "nic" });
      await qemu.execute("device_del", { id: "nic" });
      await cycleDeadline.race(deleted);
      await qemu.execute("netdev_del", { id: "net" });
      return ms;
    },
  };
}

/** QEMU connects to it with the guest's console. */
async function listenForConsole(path: string): Promise<{ sees(text: RegExp): Promise<void>; close(): void }> {
  let seen = "";
  let looking: { text: RegExp; found: () => void } | undefined;
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.setEncoding("latin1").on("data", (chunk) => {
      seen += String(chunk).replaceAll("\0", "\n").replaceAll("\r", "");
      if (looking?.text.test(seen)) looking.found();
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    sees: (text) =>
      new Promise((resolve) => {
        // What was said before counts no more.
        seen = "";
        looking = { text, found: resolve };
      }),
    close: () => server.close(),
  };
}
