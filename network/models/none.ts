import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { Model } from "../model.ts";

/** The pod's links stay in its namespace and the guest gets no NIC. */
export const none: Model = {
  name: "none",
  serves: [],
  redirects: false,
  async connect({ name }) {
    throw attachesNothing(name);
  },
  async wayToGuest({ name }) {
    throw attachesNothing(name);
  },
};

function attachesNothing(object: string): TapirError {
  const cause = 'internetworking_model "none" attaches nothing';
  return new TapirError({ code: Code.INTERNAL, operation: "attach", object, cause });
}
