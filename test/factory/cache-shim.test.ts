// Requires root, containerd, CNI plugins, QEMU and what the set-up puts below build/.
// A shim that is killed when a VM of the cache is its own and nobody else's any more.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { configureCache, startCacheServer } from "../harness/cache-server.ts";
import { useNode } from "../harness/fixture.ts";

const node = useNode(test, { env: { TAPIR_FAILPOINTS: "hypervisor.adopt!=kill" } });

test.serial(
  "a shim killed with a VM it has just taken: delete ends the VM, the cache serves on",
  async (t) => {
    const { crictl, podConfig, stateDirectory } = node();
    const deadline = deadlineIn(120_000, "kill a shim that takes a VM");
    configureCache(node(), 1);
    const server = startCacheServer(node());
    await server.ready(1, deadline);
    await t.throwsAsync(crictl.runp(podConfig("killed"), "tapir", deadline));
    t.regex(server.log(), /was taken/);
    t.deepEqual(readdirSync(join(stateDirectory, "k8s.io")), []);
    await server.ready(1, deadline);
    t.is(await server.end("SIGTERM", deadline), 0);
    t.false(existsSync(join(stateDirectory, ".cache")));
    // The inventory after the last test finds what else may be left: QEMU above all.
  },
);
