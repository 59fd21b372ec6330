import test from "ava";
import { executedBelow } from "./executed.ts";

const trace = `10 execve("/usr/lib/cni/bridge", ["bridge"], 0x1 /* 9 vars */) = 0
10 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 11
11 execve("/usr/sbin/iptables", ["iptables", "-S"], 0x1 /* 9 vars */) = 0
7 clone(child_stack=NULL, flags=CLONE_VM|CLONE_VFORK|SIGCHLD <unfinished ...>
20 execve("/bin/containerd-shim-tapir-v2", ["/bin/containerd-shim-tapir-v2", "-id", "x", "start"], 0x1 <unfinished ...>
7 <... clone resumed>) = 20
20 <... execve resumed>) = 0
20 execve("/bin/node", ["node"], 0x1 /* 9 vars */) = -1 ENOENT (No such file or directory)
20 clone3({flags=CLONE_VM|CLONE_THREAD} => {parent_tid=[21]}, 88) = 21
21 vfork( <unfinished ...>
22 execve("/usr/bin/setpriv", ["setpriv", "qemu"], 0x1 /* 1 var */ <unfinished ...>
21 <... vfork resumed>) = 22
22 <... execve resumed>) = 0
22 execve("/usr/bin/qemu", ["qemu"], 0x1 /* 1 var */) = 0
`;

test("processes below the shim, through threads, with every program they executed", (t) => {
  t.deepEqual(executedBelow(trace, "containerd-shim-tapir-v2"), [
    { pid: 20, programs: ["/bin/containerd-shim-tapir-v2"] },
    { pid: 22, programs: ["/usr/bin/setpriv", "/usr/bin/qemu"] },
  ]);
});

test("without a shim there is nothing", (t) => {
  t.deepEqual(executedBelow(trace, "containerd-shim-runc-v2"), []);
  t.deepEqual(executedBelow("", "containerd-shim-tapir-v2"), []);
});
