// Needs root: works in a network namespace of its own.
import { execFileSync } from "node:child_process";
import test from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { listRules } from "../../sys/netlink/rule.ts";
import { openRoute } from "../../sys/netlink/socket.ts";
import { applyRules } from "./rule.ts";
import { applySysctls, readSysctls } from "./sysctl.ts";

const soon = () => deadlineIn(10_000, "test");

test("rules come, change and go; without a wish the kernel's own come back; settings likewise", async (t) => {
  const name = `tapir-agent-rule-${process.pid}`;
  const ip = (line: string): unknown => execFileSync("ip", ["-n", name, ...line.split(" ")]);
  execFileSync("ip", ["netns", "add", name]);
  try {
    using socket = openRoute({ netns: `/run/netns/${name}` });
    const network = { socket, netns: `/run/netns/${name}` };
    const own = await listRules(socket, soon());
    ip("rule add from 10.0.0.0/8 table 100 prio 50");
    ip("rule del prio 0");
    const wanted = await listRules(socket, soon());
    await applyRules(network, [], soon());
    t.deepEqual(await listRules(socket, soon()), own);
    await applyRules(network, wanted, soon());
    t.deepEqual(await listRules(socket, soon()), wanted);
    await applyRules(network, wanted, soon());
    t.deepEqual(await listRules(socket, soon()), wanted, "twice is once");

    ip("link add wire0 type veth peer name far0");
    const link = { index: 2, name: "wire0" };
    const before = readSysctls(network, "wire0");
    applySysctls(network, link, { "ipv4/arp_ignore": "1", "ipv6/forwarding": "1" });
    t.is(readSysctls(network, "wire0")["ipv4/arp_ignore"], "1");
    t.is(readSysctls(network, "wire0")["ipv6/forwarding"], "1");
    applySysctls(network, link, { "ipv6/forwarding": "1" });
    t.is(readSysctls(network, "wire0")["ipv4/arp_ignore"], undefined);
    applySysctls(network, link, {});
    t.deepEqual(readSysctls(network, "wire0"), before);
  } finally {
    execFileSync("ip", ["netns", "del", name]);
  }
});
