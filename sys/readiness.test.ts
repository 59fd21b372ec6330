import { closeSync, openSync, readdirSync } from "node:fs";
import test from "ava";
import { watchReadiness } from "./readiness.ts";

const openDescriptors = (): number => readdirSync("/proc/self/fd").length;

test("what cannot be watched leaves no descriptor open, nor does what was", async (t) => {
  const file = openSync("/proc/self/exe", "r");
  const device = openSync("/dev/ptmx", "r+");
  t.teardown(() => {
    closeSync(file);
    closeSync(device);
  });
  const before = openDescriptors();
  t.throws(() => watchReadiness(file, "a file"), { message: /^cannot watch a file: EPERM/ });
  t.is(openDescriptors(), before);
  const readiness = watchReadiness(device, "a terminal");
  const next = readiness.next();
  readiness.close();
  t.false(await next);
  t.is(openDescriptors(), before);
});
