import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { downloadPackages, extractPackages, resolveGuestPackages } from "../guest/packages.ts";
import { CACHE, cached, link } from "./cache.ts";
import { PROJECT } from "./command.ts";
import type { StepResult } from "./step.ts";

/** Puts the static busybox of the guest image at `build/bin/busybox`: test images are made of it. */
export async function setUpBusybox(): Promise<StepResult> {
  const wanted = (await resolveGuestPackages(CACHE)).filter(({ name }) => name === "busybox-static");
  const key = wanted.map(({ sha256 }) => sha256.slice(0, 16)).join();
  const { directory, made } = await cached({
    kind: "busybox",
    key,
    async make(target) {
      const unpacked = mkdtempSync(join(tmpdir(), "tapir-busybox-"));
      try {
        await extractPackages(await downloadPackages(wanted, CACHE), unpacked);
        const found = ["bin/busybox", "usr/bin/busybox"].find((path) => existsSync(join(unpacked, path)));
        copyFileSync(join(unpacked, found ?? "bin/busybox"), join(target, "busybox"));
      } finally {
        rmSync(unpacked, { recursive: true, force: true });
      }
    },
  });
  const path = join(PROJECT, "build/bin/busybox");
  mkdirSync(dirname(path), { recursive: true });
  link(join(directory, "busybox"), path);
  return made ? undefined : "cached";
}
