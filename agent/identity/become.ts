import type { CreateSandboxRequest } from "../../proto/gen/tapir/agent/v1/agent.ts";
import { setClock } from "./clock.ts";
import { addEntropy, freshRandom } from "./entropy.ts";
import { NOBODY, writeFiles } from "./files.ts";
import { setHostname } from "./hostname.ts";

/** Scope of an address that only counts on its link. */
const LINK_SCOPE = 253;

/**
 * Makes this guest, which may be one of many clones, the one of this pod: clock, entropy, machine id, names.
 * `arrived` is the monotonic time (hrtime) at which the request came in: the host's clock is as old as that, unless it
 * says better.
 */
export function becomePod(request: CreateSandboxRequest, arrived: bigint): void {
  const { dns, unixTimeNanoseconds, monotonicNanoseconds, entropy, interfaces } = request;
  const hostname = request.hostname === "" ? NOBODY.hostname : request.hostname;
  setClock(unixTimeNanoseconds, monotonicNanoseconds ?? arrived);
  // Before anything is drawn from the pool.
  addEntropy(entropy);
  setHostname(hostname);
  const addresses = interfaces
    .flatMap((one) => one.addresses)
    .filter(({ scope }) => scope < LINK_SCOPE)
    .map(({ address }) => address);
  writeFiles({ hostname, addresses, dns, machineId: freshRandom(16).toString("hex") });
}
