import test from "ava";
import { loadOrder, moduleName, parseModulesDep } from "./modules.ts";

const GRAPH = parseModulesDep(
  [
    "kernel/drivers/virtio/virtio_ring.ko:",
    "kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko",
    "kernel/drivers/char/hw_random/virtio-rng.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko",
    "kernel/net/x.ko.xz: ",
    "",
  ].join("\n"),
);

test("needs come before what needs them, each once", (t) => {
  t.deepEqual(loadOrder(["virtio_rng", "virtio"], GRAPH, new Set()), [
    "kernel/drivers/virtio/virtio_ring.ko",
    "kernel/drivers/virtio/virtio.ko",
    "kernel/drivers/char/hw_random/virtio-rng.ko",
  ]);
});

test("a dash in a file name is an underscore in the kernel, compressed or not", (t) => {
  t.is(moduleName("kernel/a/virtio-rng.ko"), "virtio_rng");
  t.is(moduleName("kernel/net/x.ko.xz"), "x");
  t.deepEqual(loadOrder(["x"], GRAPH, new Set()), ["kernel/net/x.ko.xz"]);
});

test("what is built into the kernel needs no file", (t) => {
  t.deepEqual(loadOrder(["dax"], GRAPH, new Set(["dax"])), []);
});

test("a module that is nowhere is named", (t) => {
  t.throws(() => loadOrder(["vhost_net"], GRAPH, new Set()), {
    message: /cannot find kernel module vhost_net/,
  });
});
