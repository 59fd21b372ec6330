import type { CreateSandboxRequest } from "../../proto/gen/tapir/agent/v1/agent.ts";
import { setClock } from "./clock.ts";
import { addEntropy, freshRandom } from "./entropy.ts";
import { NOBODY, writeFiles } from "./files.ts";
import { setHostname } from "./hostname.ts";

/** Scope of an address that only counts on its link. */
const LINK_SCOPE = 253;

/**
 * Makes this guest, which may be one of many clones, the one of this pod: clock, entropy, hostname. `arrived` is the
 * monotonic time (hrtime) at which the request came in: the host's clock is as old as that, unless it says better.
 */
export function becomePod(request: CreateSandboxRequest, arrived: bigint): void {
  setClock(clockAhead(request, arrived));
  // Before anything is drawn from the pool.
  addEntropy(request.entropy);
  setHostname(hostnameOf(request));
}

/**
 * How far the wall clock is before the monotonic one, in nanoseconds. When a template was saved on a busy machine, what its clock
 * read then is known roughly; that a request comes in after it was made is certain. Pure.
 */
export function clockAhead(
  request: Pick<
    CreateSandboxRequest,
    "unixTimeNanoseconds" | "monotonicNanoseconds" | "madeUnixTimeNanoseconds"
  >,
  arrived: bigint,
): bigint {
  const { unixTimeNanoseconds, monotonicNanoseconds, madeUnixTimeNanoseconds } = request;
  const said = unixTimeNanoseconds - (monotonicNanoseconds ?? arrived);
  const late = madeUnixTimeNanoseconds - arrived - said;
  return late > 0n ? said + late : said;
}

/** What files tell of the pod, a fresh machine id among it: after `becomePod`. */
export function writePodFiles(request: CreateSandboxRequest): void {
  const { dns, interfaces } = request;
  const addresses = interfaces
    .flatMap((one) => one.addresses)
    .filter(({ scope }) => scope < LINK_SCOPE)
    .map(({ address }) => address);
  writeFiles({
    hostname: hostnameOf(request),
    addresses,
    dns,
    machineId: freshRandom(16).toString("hex"),
  });
}

function hostnameOf({ hostname }: CreateSandboxRequest): string {
  return hostname === "" ? NOBODY.hostname : hostname;
}
