import type { Deadline } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { lockFile } from "../../sys/file-lock.ts";
import { Code } from "../../sys/status.ts";
import type { VmPlan } from "../hypervisor.ts";
import { buildTemplate, type PrepareGuest } from "./build.ts";
import { lockPathOf, prepareDirectory } from "./directory.ts";
import { evictTemplates } from "./evict.ts";
import { type KeyParts, readKeyParts, templateKey } from "./key.ts";
import { forgetMisfortune, recallMisfortune, rememberMisfortune } from "./misfortune.ts";
import { type OpenTemplate, openTemplate } from "./store.ts";

export interface ObtainRequest {
  readonly plan: VmPlan;
  readonly store: string;
  readonly prepare: PrepareGuest;
}

/**
 * The template for `plan`: the one that is there, else a new one. Of many that ask at once, in whatever process, one builds
 * and the others wait for it.
 */
export async function obtainTemplate(request: ObtainRequest, deadline: Deadline): Promise<OpenTemplate> {
  const { store, plan } = request;
  const parts = readKeyParts(plan);
  const key = templateKey(parts);
  return existing(store, key) ?? (await build(request, parts, key, deadline));
}

/** A damaged template is as good as none: the next one takes its place. */
function existing(store: string, key: string): OpenTemplate | undefined {
  try {
    return openTemplate(store, key);
  } catch {
    return undefined;
  }
}

async function build(
  { plan, store, prepare }: ObtainRequest,
  parts: KeyParts,
  key: string,
  deadline: Deadline,
): Promise<OpenTemplate> {
  refuseAfterMisfortune(store, key);
  using _lock = await lockFile(lockPathOf(store), deadline);
  const built = existing(store, key);
  if (built !== undefined) return built;
  // Whoever had the lock before may have met it.
  refuseAfterMisfortune(store, key);
  prepareDirectory(store);
  evictTemplates(store, key);
  try {
    await buildTemplate({ plan, key, parts, store, prepare }, deadline);
    forgetMisfortune(store, key);
    return openTemplate(store, key);
  } catch (error) {
    // Who was called off knows nothing of the template.
    if (!deadline.calledOff()) rememberMisfortune(store, key, error);
    throw error;
  }
}

function refuseAfterMisfortune(store: string, key: string): void {
  const misfortune = recallMisfortune(store, key);
  if (misfortune === undefined) return;
  throw new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "use",
    object: `template ${key}`,
    cause: `not long ago: ${misfortune.reason}`,
    hint: "tapir factory init tries again at once",
  });
}
