import { chooseAccelerator } from "../../hypervisor/accelerator.ts";
import { makeClone } from "../../hypervisor/factory/cache/clone.ts";
import { cacheKey } from "../../hypervisor/factory/cache/key.ts";
import { cacheHome } from "../../hypervisor/factory/cache/leftovers.ts";
import { serveCache } from "../../hypervisor/factory/cache/server.ts";
import { readRoom, shortageOf } from "../../hypervisor/factory/cache/shortage.ts";
import { obtainTemplate } from "../../hypervisor/factory/obtain.ts";
import { countHit } from "../../hypervisor/factory/store.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { loadConfiguration } from "../config/load.ts";
import { checkFiles } from "../config/resolve.ts";
import type { Configuration } from "../config/schema.ts";
import { timeoutMs } from "../config/timeout.ts";
import { podPlan } from "./node-factory.ts";
import { prepareGuest, rehearseClone } from "./prepare-guest.ts";
import { vmPlan } from "./vm-plan.ts";

/** A clone may need a template first. */
const BOOTS_PER_CLONE = 2;

/** Serves the VM cache as the node's configuration wants it, until `signal` aborts. */
export function serveConfiguredCache(
  report: (message: string, error?: unknown) => void,
  signal: AbortSignal,
): Promise<void> {
  const loaded = loadConfiguration();
  checkFiles(loaded);
  const { configuration } = loaded;
  const { factory, runtime, agent } = configuration;
  refuseWithoutUse(factory);
  const accelerator = chooseAccelerator(configuration.hypervisor.qemu.accelerator);
  const home = cacheHome(runtime.stateDir);
  const plan = podPlan(configuration, vmPlan(configuration, accelerator, { name: "cache", directory: home }));
  const { path: store, memory } = factory;
  const bootMs = timeoutMs(configuration, agent.dialTimeoutSeconds, accelerator);
  const make = async (deadline: Deadline) => {
    using template = await obtainTemplate({ plan, store, prepare: prepareGuest }, deadline);
    const clone = await makeClone(home, { plan, template, memory, prepare: rehearseClone }, deadline);
    countHit(store, template.manifest.key);
    return clone;
  };
  const pool = {
    size: factory.cacheSize,
    key: () => cacheKey(plan, memory),
    make,
    makeMs: BOOTS_PER_CLONE * bootMs,
    shortage: () => shortageOf(readRoom(home), plan.memoryMiB),
    report,
  };
  return serveCache({ home, socket: factory.cacheSocket, pool }, signal);
}

/** No pod would ever ask. */
function refuseWithoutUse({ cacheSize, template, attach }: Configuration["factory"]): void {
  const cause =
    cacheSize === 0
      ? "factory.cache_size is 0"
      : !template
        ? "factory.template is false"
        : attach === "cold" || attach === "warm"
          ? `factory.attach is "${attach}"`
          : undefined;
  if (cause === undefined) return;
  throw new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "serve",
    object: "the VM cache",
    cause: `${cause}: no pod would take a VM`,
    hint: "set factory.cache_size, and leave factory.template and factory.attach at their defaults",
  });
}
