import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { yesGuest } from "../../test/fakes/guest.ts";
import { createInGuest } from "./create-container.ts";
import { openPodPids } from "./pod-pids.ts";
import type { TaskProcess } from "./process.ts";
import type { CreateRequest } from "./task.ts";
import type { Workload } from "./workload.ts";

test("a container that nobody wants any more when its storage is there is not asked of the guest", async (t) => {
  const bundle = mkdtempSync(join(tmpdir(), "create-"));
  t.teardown(() => rmSync(bundle, { recursive: true }));
  writeFileSync(join(bundle, "config.json"), "{}");
  const calls: string[] = [];
  const guest = yesGuest({
    async createContainer() {
      calls.push("create");
      return { pid: 1, failure: undefined, ignored: [] };
    },
  });
  const { prepare } = guest.storage;
  let isWanted = true;
  const storage: typeof guest.storage = {
    ...guest.storage,
    async prepare(...wanted) {
      const prepared = await prepare(...wanted);
      isWanted = false;
      return { ...prepared, release: async () => void calls.push("release") };
    },
  };
  const init = { object: "web", open: async () => undefined, close: async () => void calls.push("close") };
  const obedience = { kill: async () => undefined, remove: async () => void calls.push("remove") };
  const making = createInGuest(
    { id: "web", bundle, guest: { ...guest, storage }, pids: openPodPids(() => undefined) } as Workload,
    { rootfs: [] } as Partial<CreateRequest> as CreateRequest,
    init as Partial<TaskProcess> as TaskProcess,
    obedience,
    () => isWanted,
  );
  await t.throwsAsync(making, { message: /told to stop while it was starting/ });
  t.deepEqual(calls, ["release", "close"]);
});
