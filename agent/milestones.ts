import type { BootMilestone } from "../proto/gen/tapir/agent/v1/agent.ts";
import { monotonicSeconds } from "./monotonic.ts";

/** The initramfs says here when the kernel handed over to it: seconds since boot. */
const KERNEL_DONE = "TAPIR_KERNEL_SECONDS";

const marks: BootMilestone[] = [];

/** Remembers that the boot came as far as `name`. */
export function reached(name: string): void {
  marks.push({ name, seconds: monotonicSeconds() });
}

/** Every milestone in order of time: kernel and init (start of this process) come from outside of the bundle. */
export function milestones(environment: NodeJS.ProcessEnv = process.env): BootMilestone[] {
  const kernel = Number(environment[KERNEL_DONE] ?? Number.NaN);
  const init = { name: "init", seconds: monotonicSeconds() - performance.now() / 1e3 };
  const before = Number.isFinite(kernel) ? [{ name: "kernel", seconds: kernel }, init] : [init];
  return [...before, ...marks].sort((a, b) => a.seconds - b.seconds);
}
