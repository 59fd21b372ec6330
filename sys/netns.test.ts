// Needs root.
import { execFileSync } from "node:child_process";
import { readlinkSync, rmSync, writeFileSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { TapirError } from "./error.ts";
import { inNetns, isOwnNetns } from "./netns.ts";
import { Code } from "./status.ts";

const name = `tapir-netns-${process.pid}`;
const path = `/run/netns/${name}`;

test.before(() => execFileSync("ip", ["netns", "add", name]));
test.after.always(() => execFileSync("ip", ["netns", "del", name]));

test("works inside and comes back, also when the work throws", (t) => {
  const home = readlinkSync("/proc/thread-self/ns/net");
  const inside = inNetns(path, () => readlinkSync("/proc/thread-self/ns/net"));
  t.not(inside, home);
  t.throws(
    () =>
      inNetns(path, () => {
        throw new Error("inside");
      }),
    { message: "inside" },
  );
  t.is(readlinkSync("/proc/thread-self/ns/net"), home);
  t.truthy(networkInterfaces());
});

test("knows its own namespace", (t) => {
  t.true(isOwnNetns("/proc/self/ns/net"));
  t.false(isOwnNetns(path));
});

test("a path that is missing or no namespace gives an error that names it", (t) => {
  const missing = t.throws(() => inNetns("/run/netns/none-such", () => 0), { instanceOf: TapirError });
  t.is(missing.code, Code.NOT_FOUND);
  t.regex(missing.message, /cannot open netns \/run\/netns\/none-such: .*ENOENT/);
  const file = join(tmpdir(), `no-netns-${process.pid}`);
  writeFileSync(file, "");
  t.teardown(() => rmSync(file));
  t.is(t.throws(() => inNetns(file, () => 0), { instanceOf: TapirError }).code, Code.INVALID_ARGUMENT);
});
