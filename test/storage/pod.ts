import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { QemuVm } from "../../hypervisor/qemu/vm.ts";
import type { Agent } from "../../shim/agent-client.ts";
import { readOciSpec } from "../../shim/sandbox/oci.ts";
import type { ContainerStorage, RootfsMount } from "../../shim/sandbox/workload-storage.ts";
import { createPodStorage, type PodStorage } from "../../shim/storage/pod-storage.ts";
import type { Ledger } from "../../sys/ledger.ts";
import { attach, soon, specOf } from "../container/pod.ts";
import { bootGuest, type GuestVm } from "../harness/guest-vm.ts";
import { built, PROJECT } from "../harness/project.ts";

/** A mount of a container's specification. */
export interface Mount {
  readonly destination: string;
  readonly source: string;
  readonly type?: string;
  readonly options?: readonly string[];
}

export interface ContainerWish {
  readonly script: string;
  readonly mounts?: readonly Mount[];
  /** Not set: an overlay of busybox. */
  readonly rootfs?: readonly RootfsMount[];
  /** Further parts of `linux`. */
  readonly linux?: object;
}

/** A booted guest with the storage of a pod, and no shim around it. */
export interface StoragePod extends AsyncDisposable {
  readonly vm: QemuVm;
  readonly agent: Agent;
  readonly ledger: Ledger;
  readonly storage: PodStorage;
  /** For the test's own files. */
  readonly place: string;
  /** Makes a container, up to its creation in the guest. */
  create(wish: ContainerWish): Promise<TestContainer>;
  /** Runs a container to its end and removes it: what it wrote, and its exit status. */
  run(wish: ContainerWish): Promise<{ readonly output: string; readonly status: number }>;
}

export interface TestContainer {
  readonly id: string;
  readonly storage: ContainerStorage;
  /** Starts it; resolves when it has ended. */
  finish(): Promise<{ readonly output: string; readonly status: number }>;
  remove(): Promise<void>;
}

const APPLETS = [
  "sh",
  "cat",
  "ls",
  "stat",
  "dd",
  "df",
  "mount",
  "mkdir",
  "ln",
  "rm",
  "sleep",
  "mknod",
  "cp",
  "sync",
];

export async function bootStoragePod(mark: string): Promise<StoragePod> {
  const place = mkdtempSync(join(tmpdir(), mark));
  const image = makeImage(place);
  let guest: GuestVm;
  try {
    guest = await bootGuest(mark, [], 4);
  } catch (error) {
    rmSync(place, { recursive: true });
    throw error;
  }
  const { vm, agent, ledger } = guest;
  const { containers } = agent;
  const storage = createPodStorage({
    ...{ vm, containers, ledger, server: process.env.TAPIR_TEST_VIRTIOFSD ?? "", cache: "auto" },
    ...{ shareMs: 30_000, measure: (_, work) => work(), startsAreOver: async () => undefined },
    log: { debug: () => undefined },
  });
  let last = 0;
  let disposed = false;
  const create = async (wish: ContainerWish): Promise<TestContainer> => {
    const id = `c${++last}`;
    const bundle = join(place, id);
    mkdirSync(bundle);
    const config = Buffer.from(JSON.stringify(configOf(wish)));
    writeFileSync(join(bundle, "config.json"), config);
    const rootfs = wish.rootfs ?? [overlayOf(image, bundle)];
    const spec = readOciSpec(bundle);
    const prepared = await storage.prepare({ containerId: id, bundle, rootfs, spec }, soon());
    const remove = async (): Promise<void> => {
      await containers.removeContainer({ containerId: id }, soon());
      await prepared.release(soon());
    };
    const { release: _, ...parts } = prepared;
    try {
      const stdio = { stdin: false, stdout: true, stderr: true };
      const pidNamespaceOf = "";
      await containers.createContainer(
        { containerId: id, spec: config, ...parts, stdio, pidNamespaceOf },
        soon(),
      );
    } catch (error) {
      await remove();
      throw error;
    }
    const finish: TestContainer["finish"] = async () => {
      const running = await attach(containers, { containerId: id, execId: "" });
      await containers.startContainer({ containerId: id }, soon());
      const { exitStatus } = await running.exit();
      await running.ended;
      return { output: `${running.output.stdout}${running.output.stderr}`, status: exitStatus };
    };
    return { id, storage: prepared, finish, remove };
  };
  return {
    ...{ vm, agent, ledger, storage, place, create },
    async run(wish) {
      const container = await create(wish);
      try {
        return await container.finish();
      } finally {
        await container.remove();
      }
    },
    async [Symbol.asyncDispose]() {
      if (disposed) return;
      disposed = true;
      await vm.stop(soon());
      await storage.close();
      await guest[Symbol.asyncDispose]();
      rmSync(place, { recursive: true });
    },
  };
}

function configOf({ script, mounts = [], linux = {} }: ContainerWish): object {
  const spec = specOf(["/bin/sh", "-c", script], { env: ["PATH=/bin"] }, linux);
  // The pod's shared memory, which containerd has on the host.
  const own = (spec.mounts as Mount[]).map((mount) =>
    mount.destination === "/dev/shm" ? { ...mount, source: "/dev/shm" } : mount,
  );
  const wanted = mounts.map((mount) => ({ type: "bind", options: ["rbind", "rprivate", "rw"], ...mount }));
  return { ...spec, mounts: [...own, ...wanted] };
}

function makeImage(place: string): string {
  const image = join(place, "image");
  for (const folder of ["bin", "dev", "proc", "sys", "tmp", "etc"])
    mkdirSync(join(image, folder), { recursive: true });
  copyFileSync(built(join(PROJECT, "build/bin/busybox")), join(image, "bin/busybox"));
  for (const applet of APPLETS) symlinkSync("busybox", join(image, "bin", applet));
  return image;
}

function overlayOf(image: string, bundle: string): RootfsMount {
  const [upper, work] = ["upper", "work"].map((name) => join(bundle, name)) as [string, string];
  for (const folder of [upper, work]) mkdirSync(folder);
  const options = [`lowerdir=${image}`, `upperdir=${upper}`, `workdir=${work}`];
  return { type: "overlay", source: "overlay", target: "", options };
}
