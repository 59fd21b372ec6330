import { type Accelerator, chooseAccelerator } from "../../hypervisor/accelerator.ts";
import type { RateLimits } from "../../network/rate-limit.ts";
import { applyAnnotations } from "../config/annotations.ts";
import { loadConfiguration } from "../config/load.ts";
import { checkFiles } from "../config/resolve.ts";
import type { Configuration } from "../config/schema.ts";
import { timeoutMs } from "../config/timeout.ts";
import type { PodContext } from "./pod.ts";

/** A pod's configuration with what depends on the machine decided. */
export interface Settings {
  readonly configuration: Configuration;
  readonly accelerator: Accelerator;
  /** Milliseconds of a timeout key on this machine. */
  timeoutMs(seconds: number): number;
}

/** Files, drop-ins and the pod's annotations; every file a VM needs is there. Throws what is wrong with them. */
export function readSettings({ spec, configPath }: PodContext): Settings {
  const loaded = applyAnnotations(loadConfiguration({ optionsPath: configPath }), spec.annotations);
  checkFiles(loaded);
  const { configuration } = loaded;
  const accelerator = chooseAccelerator(configuration.hypervisor.qemu.accelerator);
  return {
    configuration,
    accelerator,
    timeoutMs: (seconds) => timeoutMs(configuration, seconds, accelerator),
  };
}

/** What every NIC of a pod may do, unless somebody changes it while it runs. */
export function rateLimits({
  rxRateLimiterMaxRate,
  txRateLimiterMaxRate,
}: Configuration["network"]): RateLimits {
  return { rx: rxRateLimiterMaxRate, tx: txRateLimiterMaxRate };
}
