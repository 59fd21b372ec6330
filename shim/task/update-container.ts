import { guestLines } from "../guest-bounds.ts";
import { limitsOf } from "../sandbox/container-limits.ts";
import { largerLimits } from "../sandbox/wanted-size.ts";
import { asking, type Workload } from "./workload.ts";

/** Changes the limits of a container that is in the guest: `resources` as in an OCI spec, in JSON. The VM grows before. */
export async function updateInGuest(workload: Workload, resources: Uint8Array): Promise<void> {
  const { id, guest, log } = workload;
  const { size } = guest;
  const before = size.limitsOf(id);
  const wanted = limitsOf(parse(resources), before);
  try {
    await size.claim(
      id,
      largerLimits(before, wanted),
      asking(workload, "make room for", guest.limits.createMs),
    );
    const request = { containerId: id, resources: Buffer.from(resources) };
    const { ignored } = await guest.containers.updateContainer(request, asking(workload, "update"));
    for (const what of guestLines(ignored)) log.info("not honoured in the guest", { container: id, what });
    size.settle(id, wanted);
  } catch (error) {
    size.settle(id, before);
    throw error;
  }
}

/** What is no JSON has no limits; the guest says what is wrong with it. */
function parse(resources: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(resources).toString("utf8"));
  } catch {
    return undefined;
  }
}
