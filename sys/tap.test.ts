// Needs root and /dev/net/tun: makes and removes a network namespace.
import { execFileSync } from "node:child_process";
import { closeSync, readFileSync } from "node:fs";
import test from "ava";
import { TapirError } from "./error.ts";
import { Code } from "./status.ts";
import { openTap, openVhostNet } from "./tap.ts";

const name = `tapir-tap-${process.pid}`;
const netns = `/run/netns/${name}`;
const taps = (): { ifname: string }[] =>
  JSON.parse(execFileSync("ip", ["-n", name, "-j", "-d", "link"], { encoding: "utf8" }));

test.before(() => execFileSync("ip", ["netns", "add", name]));
test.after.always(() => execFileSync("ip", ["netns", "del", name]));

test.serial("a tap lives in its namespace for as long as its descriptors", (t) => {
  const fds = openTap({ netns, name: "tap0_tapir", queues: 2 });
  t.is(fds.length, 2);
  const tap = taps().find(({ ifname }) => ifname === "tap0_tapir");
  t.like(tap, {
    linkinfo: {
      info_data: { type: "tap", pi: false, vnet_hdr: true, multi_queue: true, numqueues: 2, persist: false },
    },
  });
  // O_CLOEXEC: no child that is not told to gets it.
  for (const fd of fds) t.regex(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"), /flags:\s*0?2\d{6}/);
  for (const fd of fds) closeSync(fd);
  t.is(taps().length, 1);
});

test.serial("one queue is an ordinary tap", (t) => {
  const [fd = -1] = openTap({ netns, name: "tap0_tapir", queues: 1 });
  const tap = taps().find(({ ifname }) => ifname === "tap0_tapir");
  t.like(tap, { linkinfo: { info_data: { multi_queue: false } } });
  closeSync(fd);
});

test.serial("a name that is taken is EBUSY, and the other tap stays", (t) => {
  const [fd = -1] = openTap({ netns, name: "tap0_tapir", queues: 1 });
  const error = t.throws(() => openTap({ netns, name: "tap0_tapir", queues: 1 }), { instanceOf: TapirError });
  t.is(error.errno, "EBUSY");
  t.regex(error.message, /^cannot open tap tap0_tapir in netns /);
  t.is(taps().length, 2);
  closeSync(fd);
});

test("bad names and namespaces are refused", (t) => {
  const long = t.throws(() => openTap({ netns, name: "tap0123456789abc", queues: 1 }), {
    instanceOf: TapirError,
  });
  t.is(long.code, Code.INVALID_ARGUMENT);
  const missing = t.throws(() => openTap({ netns: "/run/netns/none-such", name: "tap0", queues: 1 }), {
    instanceOf: TapirError,
  });
  t.is(missing.code, Code.NOT_FOUND);
});

test("vhost-net: one descriptor per queue, or none at all", (t) => {
  const fds = openVhostNet(2);
  t.true(fds.length === 0 || fds.length === 2);
  for (const fd of fds) closeSync(fd);
});
