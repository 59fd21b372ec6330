import test from "ava";
import { schema } from "../config/schema.ts";
import { LIMITS } from "./sandbox-task.ts";

test("what a configuration may ask for is the pod's to decide: the task's own limits cut nothing off", (t) => {
  const { runtime, hypervisor } = schema;
  const factor = hypervisor.qemu.tcg_timeout_factor.maximum;
  t.is(LIMITS.create, runtime.create_timeout_seconds.maximum * 1000 * factor);
  t.is(LIMITS.stop, runtime.stop_timeout_seconds.maximum * 1000 * factor);
  // More than this makes a timer of Node go off at once.
  t.true(Math.max(...Object.values(LIMITS)) < 2 ** 31);
});
