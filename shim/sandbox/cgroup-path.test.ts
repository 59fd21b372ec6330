import test from "ava";
import { Code } from "../../sys/status.ts";
import { cgroupPath } from "./cgroup-path.ts";

const paths: [string, string][] = [
  ["", ""],
  ["/k8s.io/abc", "/k8s.io/abc"],
  ["kubepods/pod7//abc/", "/kubepods/pod7/abc/"],
  ["system.slice:cri-containerd:abc", "/system.slice/cri-containerd-abc.scope"],
  [
    "kubepods-besteffort-pod7_1.slice:cri-containerd:abc",
    "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod7_1.slice/cri-containerd-abc.scope",
  ],
  [":cri-containerd:abc", "/cri-containerd-abc.scope"],
  ["-.slice::abc", "/abc.scope"],
  ["system.slice:docker:abc.slice", "/system.slice/abc.slice"],
];
for (const [from, to] of paths) {
  test(`${JSON.stringify(from)} is ${to}`, (t) => t.is(cgroupPath(from), to));
}

for (const bad of ["/a/../b", "..", "a--b.slice:x:y", "kubepods:x:y", "/a\0b"]) {
  test(`${JSON.stringify(bad)} is refused`, (t) => {
    t.throws(() => cgroupPath(bad), { code: Code.INVALID_ARGUMENT as never });
  });
}
