import test from "ava";
import { sysctlPath } from "./sysctl.ts";

test("a setting's path, however its name is written (sysctl(8))", (t) => {
  t.is(sysctlPath("net.core.somaxconn"), "/proc/sys/net/core/somaxconn");
  t.is(sysctlPath("net/core/somaxconn"), "/proc/sys/net/core/somaxconn");
  t.is(sysctlPath("net.ipv4.conf.eth0/100.rp_filter"), "/proc/sys/net/ipv4/conf/eth0.100/rp_filter");
  t.is(sysctlPath("net/ipv4/conf/eth0.100/rp_filter"), "/proc/sys/net/ipv4/conf/eth0.100/rp_filter");
  t.is(sysctlPath("kernel.shm_rmid_forced"), "/proc/sys/kernel/shm_rmid_forced");
  t.is(sysctlPath("vm.max_map_count"), "/proc/sys/vm/max_map_count");
});

test("what starts programs, stops the guest, or leads out of the folder is refused by name", (t) => {
  const refused = [
    ...["kernel.core_pattern", "kernel.modprobe", "kernel.sysrq", "kernel.panic", "kernel/core_pattern"],
    ...[
      "fs.binfmt_misc.register",
      "fs.protected_symlinks",
      "kernel.poweroff_cmd",
      "user.max_user_namespaces",
    ],
    ...["net", "", "../../etc/passwd", "net.../x", "net./../x", "net.a\n", "net..x"],
  ];
  for (const name of refused)
    t.throws(() => sysctlPath(name), { message: /cannot set kernel setting/ }, name);
});
