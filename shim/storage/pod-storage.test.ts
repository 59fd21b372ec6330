import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import type { Vm } from "../../hypervisor/hypervisor.ts";
import type { VmShare } from "../../hypervisor/storage.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { openLedger } from "../../sys/ledger.ts";
import { yesGuest } from "../../test/fakes/guest.ts";
import { createPodStorage } from "./pod-storage.ts";

const never = new Promise<never>(() => undefined);
const soon = () => deadlineIn(60_000, "test");
const spec = { rootPath: "/", mounts: [], devices: [], deviceRules: [] };

const quiet = {
  ...{ shareMs: 5_000, server: "", cache: "auto" as const, log: { debug: () => undefined } },
  startsAreOver: async () => undefined,
  measure: <T>(_: string, work: () => Promise<T>) => work(),
};

test("a share that cannot be had fails its container, and the next container tries again", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "tapir-pod-storage-"));
  const ledger = openLedger(join(directory, "state"));
  t.teardown(async () => {
    await ledger.unwind();
    rmSync(directory, { recursive: true });
  });
  const events: string[] = [];
  const faults = ["no virtiofsd", "no virtiofsd"];
  let mountFails = true;
  const share: VmShare = {
    pid: process.pid,
    ended: never,
    detach: async () => void events.push("detached"),
  };
  const storage = {
    async attachShare() {
      events.push("attach");
      const fault = faults.pop();
      if (fault !== undefined) throw new Error(fault);
      return share;
    },
  };
  const { containers } = yesGuest({
    async addStorage() {
      if (!mountFails) return {};
      mountFails = false;
      throw new Error("the guest is busy");
    },
  });
  const vm = { storage, exited: never } as unknown as Vm;
  const pod = createPodStorage({ ...quiet, vm, containers, ledger });
  // An id that is refused once there is a share to look into.
  const request = { containerId: "-", bundle: directory, rootfs: [], spec: spec as never };
  const prepare = () => t.throwsAsync(pod.prepare(request, soon()));

  // Two that come at once are one try.
  t.deepEqual(
    (await Promise.all([prepare(), prepare()])).map((error) => error?.message),
    ["no virtiofsd", "no virtiofsd"],
  );
  t.deepEqual(events, ["attach"]);
  t.is((await prepare())?.message, "no virtiofsd");
  t.is((await prepare())?.message, "the guest is busy");
  t.deepEqual(events.slice(1), ["attach", "attach", "detached"]);
  t.regex((await prepare())?.message ?? "", /container "-"/);
  // Once there is one, it stays.
  t.regex((await prepare())?.message ?? "", /container "-"/);
  t.is(events.filter((one) => one === "attach").length, 4);
  await pod.close();
});

test("the share comes by itself once the pods that start have started; not to a pod that ends before", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "tapir-pod-storage-"));
  const ledger = openLedger(join(directory, "state"));
  t.teardown(async () => {
    await ledger.unwind();
    rmSync(directory, { recursive: true });
  });
  const asked = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  const plugged = Promise.withResolvers<void>();
  let attached = 0;
  const storage = {
    async attachShare(): Promise<VmShare> {
      attached += 1;
      plugged.resolve();
      return { pid: process.pid, ended: never, detach: async () => undefined };
    },
  };
  const vm = { storage, exited: never } as unknown as Vm;
  const { containers } = yesGuest({});
  const startsAreOver = (): Promise<void> => {
    asked.resolve();
    return over.promise;
  };
  const pod = createPodStorage({ ...quiet, vm, containers, ledger, startsAreOver });
  const brief = createPodStorage({ ...quiet, vm, containers, ledger });
  pod.begin();
  brief.begin();
  await brief.close();
  await asked.promise;
  t.is(attached, 0);
  over.resolve();
  await soon().race(plugged.promise);
  await pod.close();
  t.is(attached, 1);
});
