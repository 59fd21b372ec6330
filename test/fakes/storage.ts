import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RootfsMount, WorkloadStorage } from "../../shim/sandbox/workload-storage.ts";
import type { Ledger } from "../../sys/ledger.ts";
import { MS, mount, unmount } from "../../sys/mount.ts";

const FLAGS: Readonly<Record<string, number>> = { ro: MS.RDONLY, bind: MS.BIND, rbind: MS.BIND | MS.REC };

/** Mounts a container's root in its bundle; the fake agent runs on the same machine. */
export function fakeStorage(ledger: Ledger): WorkloadStorage {
  return {
    async prepare({ bundle, rootfs }) {
      const target = join(bundle, "rootfs");
      mkdirSync(target, { recursive: true });
      const { release } = await ledger.acquire("fake.rootfs", { kind: "mount", target }, () => {
        for (const one of rootfs) mount({ source: one.source, target, type: one.type, ...parse(one) });
        // Shells want one.
        mkdirSync(join(target, "dev"), { recursive: true });
        writeFileSync(join(target, "dev/null"), "");
      });
      return {
        storages: [],
        rootfs: { storageId: "host", path: target.slice(1) },
        mountSources: [],
        deviceSources: [],
        async release() {
          unmount(target);
          await release();
        },
      };
    },
  };
}

function parse({ options }: RootfsMount): { flags: number; data: string } {
  const flags = options.reduce((sum, option) => sum | (FLAGS[option] ?? 0), 0);
  return { flags, data: options.filter((option) => !(option in FLAGS) && option !== "rw").join(",") };
}
