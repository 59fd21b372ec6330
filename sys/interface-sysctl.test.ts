// Needs root: works in a network namespace of its own.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import test from "ava";
import { readInterfaceSysctls, writeInterfaceSysctl } from "./interface-sysctl.ts";
import { inNetns } from "./netns.ts";

test("only what differs from a fresh NIC of the guest is read; the higher of all and own counts", (t) => {
  const name = `tapir-sysctl-${process.pid}`;
  execFileSync("ip", ["netns", "add", name]);
  const ip = (line: string): unknown => execFileSync("ip", ["-n", name, ...line.split(" ")]);
  try {
    ip("link add veth.1 type veth peer name far");
    const [fresh, changed, all, small, written] = inNetns(`/run/netns/${name}`, () => {
      for (const scope of ["all", "veth.1"]) writeFileSync(`/proc/sys/net/ipv4/conf/${scope}/rp_filter`, "0");
      const before = readInterfaceSysctls("veth.1");
      writeFileSync("/proc/sys/net/ipv4/conf/veth.1/arp_ignore", "2");
      writeFileSync("/proc/sys/net/ipv4/conf/all/arp_ignore", "1");
      const own = readInterfaceSysctls("veth.1");
      writeFileSync("/proc/sys/net/ipv4/conf/all/rp_filter", "2");
      writeFileSync("/proc/sys/net/ipv4/conf/all/arp_ignore", "8");
      const joined = readInterfaceSysctls("veth.1");
      ip("link set far mtu 1000");
      const other = readInterfaceSysctls("far");
      writeInterfaceSysctl("veth.1", "ipv4/proxy_arp", "1");
      writeInterfaceSysctl("far", "ipv6/disable_ipv6", "1");
      return [before, own, joined, other, readInterfaceSysctls("veth.1")];
    });
    t.is(fresh?.["ipv6/accept_ra"], undefined, "as the kernel has it");
    t.is(fresh?.["ipv6/autoconf"], undefined);
    t.is(fresh?.["ipv4/arp_ignore"], undefined);
    t.is(changed?.["ipv4/arp_ignore"], "2");
    t.is(all?.["ipv4/arp_ignore"], "8");
    t.is(all?.["ipv4/rp_filter"], "2");
    t.deepEqual(
      Object.keys(small ?? {}).filter((key) => key.startsWith("ipv6")),
      [],
      "an MTU too small for IPv6",
    );
    t.is(written?.["ipv4/proxy_arp"], "1");
  } finally {
    execFileSync("ip", ["netns", "del", name]);
  }
});
