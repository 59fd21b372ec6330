import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import type { VmSize, VmSizing } from "../../hypervisor/size.ts";
import type { OnlineResourcesRequest } from "../../proto/gen/tapir/agent/v1/container.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { yesGuest } from "../../test/fakes/guest.ts";
import { createPodSize } from "./pod-size.ts";

const MIB = 1024 * 1024;
const START: VmSize = { vcpus: 1, memoryMiB: 256 };
const QUIET_MS = 20;
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const soon = () => deadlineIn(60_000, "test");
const limits = (cpus: number, memoryMiB: number) => ({ cpus, memoryBytes: memoryMiB * MIB });

/** A VM that grows at once, or fails, and a guest of 256 MiB; both write down what they are told. */
function fakeVm(most: VmSize = { vcpus: 4, memoryMiB: 2048 }) {
  const told: VmSize[] = [];
  const asked: OnlineResourcesRequest[] = [];
  const faults: Error[] = [];
  const sizing: VmSizing = {
    start: START,
    most,
    now: START,
    async resize(wanted) {
      told.push(wanted);
      const fault = faults.pop();
      if (fault !== undefined) throw fault;
      return wanted;
    },
  };
  const { containers } = yesGuest({
    async onlineResources(request) {
      asked.push(request);
      return { vcpus: request.vcpus, memoryBytes: 256n << 20n };
    },
  });
  const size = createPodSize({ sizing, containers, log: silent, shrinkMs: 1_000, quietMs: QUIET_MS });
  return { size, told, asked, faults };
}

test("containers without limits change nothing", async (t) => {
  const { size, told, asked } = fakeVm();
  await size.claim("a", limits(0, 0), soon());
  size.settle("a");
  await sleep(2 * QUIET_MS);
  t.deepEqual([told, asked], [[], []]);
});

test("what a container may use is there when it is made, and taken back when it is gone for a while", async (t) => {
  const { size, told, asked } = fakeVm();
  await size.claim("a", limits(2, 512), soon());
  t.deepEqual(told, [{ vcpus: 3, memoryMiB: 768 }]);
  t.deepEqual(asked.at(-1), { vcpus: 3, memoryBytes: BigInt(768 * MIB), atMostVcpus: 3 });
  // One that starts again finds all as it was.
  size.settle("a");
  await size.claim("b", limits(2, 512), soon());
  await sleep(2 * QUIET_MS);
  t.is(told.length, 1);
  size.settle("b");
  await sleep(2 * QUIET_MS);
  t.deepEqual(told.at(-1), START);
  t.deepEqual(asked.at(-1), { vcpus: 1, memoryBytes: BigInt(256 * MIB), atMostVcpus: 1 });
});

test("many at once are one size; it ends where the VM's does", async (t) => {
  const { size, told } = fakeVm({ vcpus: 2, memoryMiB: 1024 });
  await Promise.all(["a", "b", "c"].map((id) => size.claim(id, limits(1, 300), soon())));
  t.deepEqual(told, [{ vcpus: 2, memoryMiB: 1024 }]);
});

test("a VM that cannot grow fails the container, and the next try begins anew", async (t) => {
  const { size, told, faults } = fakeVm();
  faults.push(new Error("no free port"));
  await t.throwsAsync(size.claim("a", limits(0, 512), soon()), {
    message: "cannot make room for container a: no free port",
  });
  size.settle("a");
  await size.claim("a", limits(0, 128), soon());
  t.deepEqual(told.at(-1), { vcpus: 1, memoryMiB: 384 });
});

test("limits that come after a container is gone are nobody's", async (t) => {
  const { size, told } = fakeVm();
  await size.claim("a", limits(1, 0), soon());
  size.settle("a");
  size.settle("a", limits(2, 512));
  t.deepEqual(size.limitsOf("a"), limits(0, 0));
  while (told.length < 2) await sleep(QUIET_MS);
  t.deepEqual(told, [{ vcpus: 2, memoryMiB: 256 }, START]);
});

test("nothing is taken back from a pod that ends", async (t) => {
  const { size, told } = fakeVm();
  await size.claim("a", limits(1, 0), soon());
  size.settle("a");
  size.close();
  await sleep(2 * QUIET_MS);
  t.is(told.length, 1);
});
