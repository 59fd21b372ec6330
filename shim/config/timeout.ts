import type { Configuration } from "./schema.ts";

/** Milliseconds of a timeout key, stretched by `tcg_timeout_factor` for a guest without KVM. */
export function timeoutMs(configuration: Configuration, seconds: number, accelerator: "kvm" | "tcg"): number {
  const factor = accelerator === "tcg" ? configuration.hypervisor.qemu.tcgTimeoutFactor : 1;
  return seconds * 1000 * factor;
}
