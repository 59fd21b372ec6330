import { closeSync, openSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { codeOf } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { hourglass } from "../../test/fakes/hourglass.ts";
import { type FakeCommand, type FakeQmp, type FakeReply, fakeQmp } from "../../test/fakes/qmp.ts";
import type { VmNic } from "../hypervisor.ts";
import { connectQmp, type QmpClient } from "../qmp/client.ts";
import { createHotplug, type Hotplug } from "./hotplug.ts";
import { nicKind } from "./nic-kind.ts";
import { createPorts } from "./ports.ts";
import { createTopology } from "./topology.ts";

const soon = (): Deadline => deadlineIn(60_000, "test");

interface Guest {
  /** What the guest does when a NIC is to go. */
  release: "let go" | "refuse" | "nothing";
  /** Commands that QEMU refuses, with its words. */
  readonly refuse: Map<string, string>;
  /** Commands that QEMU does not answer. */
  readonly ignore: Set<string>;
}

/** A QEMU that keeps books: descriptors by name, netdevs, devices by port. */
interface Books {
  readonly fds: Set<string>;
  readonly netdevs: Set<string>;
  readonly devices: Map<string, string>;
}

function answer(command: FakeCommand, qmp: FakeQmp, guest: Guest, books: Books): FakeReply {
  const { execute, arguments: args } = command;
  const refusal = guest.refuse.get(execute);
  if (refusal !== undefined) return { error: ["GenericError", refusal] };
  const id = String(args?.id ?? args?.fdname);
  const notFound: FakeReply = { error: ["DeviceNotFound", `Device '${id}' not found`] };
  switch (execute) {
    case "getfd":
      books.fds.add(id);
      break;
    case "closefd":
      if (!books.fds.delete(id))
        return { error: ["GenericError", `File descriptor named '${id}' not found`] };
      break;
    case "netdev_add":
      for (const name of [...String(args.fds).split(":"), ...String(args.vhostfds ?? "").split(":")]) {
        if (name !== "" && !books.fds.delete(name)) qmp.faults.push(`no descriptor ${name}`);
      }
      books.netdevs.add(id);
      break;
    case "netdev_del":
      if (books.devices.has(id.replace(/-net$/, ""))) qmp.faults.push(`${id} is in use`);
      if (!books.netdevs.delete(id)) return notFound;
      break;
    case "device_add":
      if ([...books.devices.values()].includes(String(args.bus))) qmp.faults.push(`${args.bus} is busy`);
      books.devices.set(id, String(args.bus));
      break;
    case "device_del":
      if (!books.devices.has(id)) return notFound;
      if (guest.release === "let go") {
        books.devices.delete(id);
        qmp.emit("DEVICE_DELETED", { path: `/machine/peripheral/${id}/virtio-backend` });
        qmp.emit("DEVICE_DELETED", { device: id, path: `/machine/peripheral/${id}` });
      }
      if (guest.release === "refuse") qmp.emit("DEVICE_UNPLUG_GUEST_ERROR", { device: id, path: id });
      break;
  }
  return guest.ignore.has(execute) ? undefined : { return: {} };
}

interface Setup {
  readonly fake: FakeQmp;
  readonly guest: Guest;
  readonly books: Books;
  readonly qmp: QmpClient;
  readonly nics: Hotplug<VmNic>;
  nic(id: string, queues?: number, vhost?: boolean): VmNic;
  names(): string[];
}

async function setUp(t: ExecutionContext, ports = 2): Promise<Setup> {
  const guest: Guest = { release: "let go", refuse: new Map(), ignore: new Set() };
  const books: Books = { fds: new Set(), netdevs: new Set(), devices: new Map() };
  const fake = fakeQmp((command, qmp) => answer(command, qmp, guest, books));
  const qmp = await connectQmp(fake.transport, async () => "QEMU was killed", soon());
  const file = openSync("/dev/null", "r");
  t.teardown(() => {
    fake.hangUp();
    closeSync(file);
    if (fake.faults.length > 0) throw new Error(fake.faults.join("; "));
  });
  return {
    ...{ fake, guest, books, qmp },
    nics: createHotplug({ vm: "vm1", qmp, ports: createPorts(createTopology(ports)) }, nicKind),
    nic: (id, queues = 1, vhost = false) => ({
      id,
      mac: "02:00:00:00:00:01",
      tapFds: new Array(queues).fill(file),
      vhostFds: vhost ? new Array(queues).fill(file) : [],
    }),
    names: () => fake.commands.map(({ execute }) => execute),
  };
}

function assertEmpty(t: ExecutionContext, { fds, netdevs, devices }: Books): void {
  t.deepEqual([...fds, ...netdevs, ...devices.keys()], []);
}

test("plugs with one getfd per queue, then netdev, then device", async (t) => {
  const { nics, nic, fake, names } = await setUp(t);
  await nics.attach(nic("eth1", 2, true), soon());
  t.deepEqual(names(), ["getfd", "getfd", "getfd", "getfd", "netdev_add", "device_add"]);
  t.deepEqual(fake.commands[4]?.arguments, {
    type: "tap",
    id: "eth1-net",
    fds: "tap-eth1-0:tap-eth1-1",
    vhost: true,
    vhostfds: "vhost-eth1-0:vhost-eth1-1",
  });
  t.like(fake.commands[5]?.arguments, { id: "eth1", bus: "rp0", netdev: "eth1-net", mq: true, vectors: 6 });
});

test("unplugs: device, event, netdev; ports and ids are used again, 200 times", async (t) => {
  const { nics, nic, books, names } = await setUp(t, 1);
  for (let round = 0; round < 200; round += 1) {
    await nics.attach(nic("eth1"), soon());
    t.is(books.devices.get("eth1"), "rp0");
    await nics.detach("eth1", soon());
    assertEmpty(t, books);
  }
  t.deepEqual(names().slice(-2), ["device_del", "netdev_del"]);
});

test("a NIC that is not there is detached already", async (t) => {
  const { nics, names } = await setUp(t);
  await nics.detach("eth9", soon());
  t.deepEqual(names(), []);
});

for (const command of ["getfd", "netdev_add", "device_add"]) {
  test(`a refused ${command} leaves no descriptor, netdev or port`, async (t) => {
    const { nics, nic, guest, books } = await setUp(t, 1);
    guest.refuse.set(command, "PCI: slot 0 function 0 not available");
    const error = await t.throwsAsync(nics.attach(nic("eth1", 2), soon()));
    t.regex(error.message, /^cannot plug NIC eth1 of VM vm1: cannot run QMP command .*slot 0 function 0/);
    assertEmpty(t, books);
    guest.refuse.clear();
    await nics.attach(nic("eth1"), soon());
    t.is(books.devices.get("eth1"), "rp0");
  });
}

test("no free port, a second NIC of the same id, and nonsense are refused before QEMU is asked", async (t) => {
  const { nics, nic, names } = await setUp(t, 1);
  await nics.attach(nic("eth1"), soon());
  const asked = names().length;
  t.is(codeOf(await t.throwsAsync(nics.attach(nic("eth1"), soon()))), Code.ALREADY_EXISTS);
  t.is(codeOf(await t.throwsAsync(nics.attach(nic("eth2"), soon()))), Code.RESOURCE_EXHAUSTED);
  for (const wrong of [nic("1x"), nic("a,b"), nic("a", 0), { ...nic("a", 2), vhostFds: [0] }]) {
    t.is(codeOf(await t.throwsAsync(nics.attach(wrong, soon()))), Code.INVALID_ARGUMENT);
  }
  t.is(names().length, asked);
});

test("a guest that does not answer is a bounded error; the NIC keeps its port until a later try", async (t) => {
  const { nics, nic, guest, books, fake, qmp } = await setUp(t, 1);
  await nics.attach(nic("eth1"), soon());
  guest.release = "nothing";
  const { deadline, runOut } = hourglass("remove eth1");
  const detaching = nics.detach("eth1", deadline);
  while (fake.commands.at(-1)?.execute !== "device_del") await new Promise(setImmediate);
  // Answered behind it: what is left is the wait for the guest.
  await qmp.execute("query-status", undefined, soon());
  runOut();
  const error = await t.throwsAsync(detaching);
  t.is(codeOf(error), Code.DEADLINE_EXCEEDED);
  t.regex(error.message, /^cannot unplug NIC eth1 of VM vm1: cannot wait for release of eth1 by the guest/);
  t.is(codeOf(await t.throwsAsync(nics.attach(nic("eth2"), soon()))), Code.RESOURCE_EXHAUSTED);
  guest.release = "let go";
  await nics.detach("eth1", soon());
  assertEmpty(t, books);
});

test("a guest that lets go too late is found gone by the next try", async (t) => {
  const { nics, nic, guest, books, fake } = await setUp(t, 1);
  await nics.attach(nic("eth1"), soon());
  guest.release = "nothing";
  const { deadline, runOut } = hourglass("remove eth1");
  const detaching = nics.detach("eth1", deadline);
  while (fake.commands.at(-1)?.execute !== "device_del") await new Promise(setImmediate);
  runOut();
  await t.throwsAsync(detaching);
  books.devices.delete("eth1");
  fake.emit("DEVICE_DELETED", { device: "eth1", path: "eth1" });
  await nics.detach("eth1", soon());
  assertEmpty(t, books);
});

test("a question the guest still has is waited for", async (t) => {
  const { nics, nic, guest, books, fake } = await setUp(t, 1);
  await nics.attach(nic("eth1"), soon());
  guest.refuse.set("device_del", "Device eth1 is already in the process of unplug");
  const detaching = nics.detach("eth1", soon());
  while (fake.commands.at(-1)?.execute !== "device_del") await new Promise(setImmediate);
  books.devices.delete("eth1");
  fake.emit("DEVICE_DELETED", { device: "eth1", path: "eth1" });
  await detaching;
  assertEmpty(t, books);
});

test("a guest that refuses is an error, and the NIC stays", async (t) => {
  const { nics, nic, guest, books } = await setUp(t, 1);
  await nics.attach(nic("eth1"), soon());
  guest.release = "refuse";
  const error = await t.throwsAsync(nics.detach("eth1", soon()));
  t.regex(error.message, /the guest refused to let go of it$/);
  t.true(books.devices.has("eth1"));
});

for (const command of ["getfd", "netdev_add", "device_add"]) {
  test(`a ${command} that comes after the deadline holds its port until the NIC is detached`, async (t) => {
    const { nics, nic, guest, books, fake } = await setUp(t, 1);
    guest.ignore.add(command);
    const { deadline, runOut } = hourglass("add eth1");
    const attaching = nics.attach(nic("eth1"), deadline);
    while (fake.commands.at(-1)?.execute !== command) await new Promise(setImmediate);
    runOut();
    const error = await t.throwsAsync(attaching);
    t.is(codeOf(error), Code.DEADLINE_EXCEEDED);
    t.is(codeOf(await t.throwsAsync(nics.attach(nic("eth2"), soon()))), Code.RESOURCE_EXHAUSTED);
    await nics.detach("eth1", soon());
    assertEmpty(t, books);
  });
}

test("attach and detach of one NIC at once take turns", async (t) => {
  const { nics, nic, books } = await setUp(t, 2);
  await Promise.all([
    nics.attach(nic("eth1"), soon()),
    nics.detach("eth1", soon()),
    nics.attach(nic("eth1"), soon()),
    nics.attach(nic("eth2"), soon()),
    nics.detach("eth1", soon()),
  ]);
  t.deepEqual([...books.devices.keys()], ["eth2"]);
});

test("the loss of QEMU ends an unplug with its reason", async (t) => {
  const { nics, nic, guest, fake } = await setUp(t);
  await nics.attach(nic("eth1"), soon());
  guest.release = "nothing";
  const detaching = nics.detach("eth1", soon());
  while (fake.commands.at(-1)?.execute !== "device_del") await new Promise(setImmediate);
  fake.hangUp();
  await t.throwsAsync(detaching, { message: /QEMU was killed/ });
});
