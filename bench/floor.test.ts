import test from "ava";
import { bareArguments } from "./floor.ts";

test("a pod's command line becomes one that inherits nothing", (t) => {
  const argv = [
    ...["/usr/bin/qemu-system-x86_64", "-machine", "q35,memory-backend=ram", "-S", "-incoming", "defer"],
    ...["-object", "memory-backend-file,id=ram,size=256M,mem-path=/proc/self/fd/3,share=on"],
    ...["-object", "memory-backend-file,id=image,mem-path=/root.erofs,share=on"],
    ...["-chardev", "socket,id=qmp,fd=4", "-chardev", "socket,id=console,fd=5,mux=on"],
    ...["-chardev", "socket,id=agent,path=/run/pod/agent.sock,server=on,wait=off"],
  ];
  t.deepEqual(bareArguments(argv, "/store/memory", "/tmp/a.sock"), [
    ...["-machine", "q35,memory-backend=ram", "-S", "-incoming", "defer"],
    ...["-object", "memory-backend-file,id=ram,size=256M,mem-path=/store/memory,share=off"],
    ...["-object", "memory-backend-file,id=image,mem-path=/root.erofs,share=on"],
    ...["-chardev", "null,id=qmp", "-chardev", "null,id=console,mux=on"],
    ...["-chardev", "socket,id=agent,path=/tmp/a.sock,server=on,wait=off"],
  ]);
});
