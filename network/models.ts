import { TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";
import type { Model } from "./model.ts";
import { macvtap } from "./models/macvtap.ts";
import { none } from "./models/none.ts";
import { tcfilter } from "./models/tcfilter.ts";

/**
 * One file each, in models/, and one line here and in the schema's key. What is to come has its place the same way: `bridge`
 * (with DHCP), `masquerade` and `builtin`.
 */
const models: readonly Model[] = [tcfilter, macvtap, none];

/** The model that `internetworking_model` names. */
export function modelNamed(name: string): Model {
  const model = models.find((one) => one.name === name);
  if (model !== undefined) return model;
  throw new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "use",
    object: `internetworking_model "${name}"`,
    cause: "there is no such model",
    hint: `use one of ${models.map((one) => `"${one.name}"`).join(", ")}`,
  });
}
