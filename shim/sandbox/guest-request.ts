import { randomBytes } from "node:crypto";
import type { RestoredGuest } from "../../hypervisor/hypervisor.ts";
import type { GuestNetwork } from "../../network/guest-network.ts";
import type { CreateSandboxRequest } from "../../proto/gen/tapir/agent/v1/agent.ts";
import type { SandboxSpec } from "./bundle.ts";

/** Fresh randomness for the guest: the size of the kernel's pool. */
const ENTROPY_BYTES = 512;

/** Everything that makes a guest this pod's, for one round trip. The clock is read here, unless the guest's own is known: send it at once. */
export function guestRequest(
  spec: Pick<SandboxSpec, "id" | "hostname" | "dns">,
  network: GuestNetwork,
  linkTimeoutMs: number,
  clock?: RestoredGuest["clock"],
): CreateSandboxRequest {
  const { servers, searches, options } = spec.dns;
  const now = BigInt(Date.now()) * 1_000_000n;
  return {
    sandboxId: spec.id,
    hostname: spec.hostname,
    dns: { servers: [...servers], searches: [...searches], options: [...options] },
    entropy: randomBytes(ENTROPY_BYTES),
    ...network,
    linkTimeoutMilliseconds: Math.round(linkTimeoutMs),
    // A guest whose own clock is known sets its wall clock right however long the request takes.
    monotonicNanoseconds: clock?.monotonicNanoseconds,
    unixTimeNanoseconds: clock?.unixNanoseconds ?? now,
    madeUnixTimeNanoseconds: now,
  };
}
