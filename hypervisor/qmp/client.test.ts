import { closeSync, openSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { codeOf, TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { hourglass } from "../../test/fakes/hourglass.ts";
import { type FakeCommand, type FakeQmp, fakeQmp } from "../../test/fakes/qmp.ts";
import { connectQmp, type QmpClient } from "./client.ts";
import { isEvent } from "./events.ts";
import { qmpFailureOf } from "./failure.ts";

const soon = (): Deadline => deadlineIn(60_000, "test");
function openFake(t: ExecutionContext, ...options: Parameters<typeof fakeQmp>): FakeQmp {
  const fake = fakeQmp(...options);
  t.teardown(fake.hangUp);
  return fake;
}
const connect = (
  fake: FakeQmp,
  why: () => Promise<unknown> = async () => "QEMU is gone",
): Promise<QmpClient> => connectQmp(fake.transport, why, soon());

test("takes the greeting, negotiates once, gives every command an id", async (t) => {
  const fake = openFake(t);
  const client = await connect(fake);
  t.is(client.version, "7.2.22");
  await client.execute("query-status", undefined, soon());
  t.like(fake.commands[0], { execute: "query-status", id: 2 });
  t.deepEqual(fake.faults, []);
  client.close();
});

test("events before and within the greeting are no obstacle", async (t) => {
  const fake = openFake(t, undefined, { silent: true });
  const connecting = connect(fake);
  fake.emit("RESUME");
  fake.raw('{"QMP": {"version": {"qemu": {"major": 9, ');
  fake.raw('"minor": 1, "micro": 0}}, "capabilities": []}}\r\n');
  t.is((await connecting).version, "9.1.0");
});

test("answers may come in any order", async (t) => {
  const held: FakeCommand[] = [];
  const fake = openFake(t, (command) => void held.push(command));
  const client = await connect(fake);
  const first = client.execute("query-pci", undefined, soon());
  const second = client.execute("query-status", undefined, soon());
  while (held.length < 2) await new Promise(setImmediate);
  for (const command of held.toReversed()) fake.answer(command, { return: command.execute });
  t.deepEqual<unknown, unknown>(await Promise.all([first, second]), ["query-pci", "query-status"]);
  client.close();
});

test("an error of QEMU carries command, class and description", async (t) => {
  const fake = openFake(t, () => ({ error: ["DeviceNotFound", "Device 'zz' not found"] }));
  const client = await connect(fake);
  const error = await t.throwsAsync(client.execute("device_del", { id: "zz" }, soon()), {
    instanceOf: TapirError,
  });
  t.is(error.message, "cannot run QMP command device_del: DeviceNotFound: Device 'zz' not found");
  t.is(codeOf(error), Code.NOT_FOUND);
  t.deepEqual(qmpFailureOf(error), {
    command: "device_del",
    errorClass: "DeviceNotFound",
    description: "Device 'zz' not found",
  });
  client.close();
});

test("a deadline ends one command; others and a late answer do no harm", async (t) => {
  const held: FakeCommand[] = [];
  const fake = openFake(t, (command) =>
    command.execute === "stop" ? void held.push(command) : { return: "fine" },
  );
  const client = await connect(fake);
  const error = await t.throwsAsync(client.execute("stop", undefined, deadlineIn(30, "stop the guest")));
  t.regex(error.message, /^cannot wait for QMP command stop: cannot finish stop the guest: not done within/);
  t.is(codeOf(error), Code.DEADLINE_EXCEEDED);
  t.is<unknown, unknown>(await client.execute("cont", undefined, soon()), "fine");
  for (const command of held) fake.answer(command, { return: "late" });
  t.is<unknown, unknown>(await client.execute("cont", undefined, soon()), "fine");
  client.close();
});

test("an event that overtakes the answer is seen, and others are not taken for it", async (t) => {
  const fake = openFake(t, (_, { emit }) => {
    emit("DEVICE_DELETED", { path: "/machine/peripheral/other/virtio-backend" });
    emit("DEVICE_DELETED", { device: "eth0", path: "/machine/peripheral/eth0" });
    return { return: {} };
  });
  const client = await connect(fake);
  const pick = (event: Parameters<Parameters<QmpClient["onEvent"]>[0]>[0]): string | undefined =>
    isEvent(event, "DEVICE_DELETED") && event.data.device === "eth0" ? event.data.path : undefined;
  t.is(await client.executeAndAwait("device_del", { id: "eth0" }, pick, soon()), "/machine/peripheral/eth0");
  client.close();
});

test("an event that never comes is a bounded error, and an event may mean failure", async (t) => {
  const fake = openFake(t);
  const client = await connect(fake);
  const { deadline, runOut } = hourglass("unplug x");
  const never = client.executeAndAwait("device_del", { id: "x" }, () => undefined, deadline);
  // Behind its answer: what is left is the wait for the event.
  await client.execute("query-status", undefined, soon());
  runOut();
  const error = await t.throwsAsync(never);
  t.regex(error.message, /^cannot wait for event after QMP command device_del: cannot finish unplug x/);
  const refused = client.executeAndAwait(
    "device_del",
    { id: "x" },
    () => {
      throw new Error("the guest refused");
    },
    soon(),
  );
  while (fake.commands.length < 2) await new Promise(setImmediate);
  fake.emit("DEVICE_UNPLUG_GUEST_ERROR", { path: "x" });
  await t.throwsAsync(refused, { message: "the guest refused" });
  client.close();
});

test("when QEMU is gone everything that waits learns why, and so does who comes later", async (t) => {
  const fake = openFake(t, () => undefined);
  const client = await connect(fake, async () => new Error("QEMU was killed by SIGKILL"));
  const waiting = [
    client.execute("query-status", undefined, soon()),
    client.executeAndAwait("device_del", { id: "x" }, () => undefined, soon()),
  ];
  while (fake.commands.length < 2) await new Promise(setImmediate);
  fake.hangUp();
  for (const one of waiting) {
    const error = await t.throwsAsync(one);
    t.regex(error.message, /SIGKILL/);
    t.is(codeOf(error), Code.UNAVAILABLE);
  }
  await t.throwsAsync(client.execute("quit", undefined, soon()), { message: /SIGKILL/ });
});

test("garbage and QEMU's complaint about a command without id end the session", async (t) => {
  for (const garbage of ["hello\n", '{"error": {"class": "GenericError", "desc": "JSON parse error"}}\n']) {
    const fake = openFake(t, () => undefined);
    const client = await connect(fake);
    const waiting = client.execute("query-status", undefined, soon());
    fake.raw(garbage);
    await t.throwsAsync(waiting, { message: /not JSON|JSON parse error/ });
  }
});

test("a monitor that never greets is a bounded error", async (t) => {
  const fake = openFake(t, undefined, { silent: true });
  const error = await t.throwsAsync(
    connectQmp(fake.transport, async () => "gone", deadlineIn(30, "start QEMU")),
  );
  t.regex(error.message, /^cannot wait for the greeting of QMP: cannot finish start QEMU/);
  t.true(fake.transport.socket.destroyed);
});

test("descriptors keep their place among other commands, even when the socket is full", async (t) => {
  const fake = openFake(t);
  const client = await connect(fake);
  const file = openSync("/dev/null", "r");
  try {
    const path = "x".repeat(600_000);
    await Promise.all([
      client.execute("qom-list", { path }, soon()),
      client.execute("getfd", { fdname: "a" }, soon(), [file]),
    ]);
    t.deepEqual(
      fake.commands.map(({ execute }) => execute),
      ["qom-list", "getfd"],
    );
    t.deepEqual(fake.faults, []);
  } finally {
    closeSync(file);
    client.close();
  }
});

test("descriptors to a QEMU that is gone are an error, not a message to whoever has the number now", async (t) => {
  const fake = openFake(t);
  const client = await connect(fake, async () => "killed");
  client.close();
  await t.throwsAsync(client.execute("getfd", { fdname: "a" }, soon(), [0]), { message: /Tapir closed/ });
});

test("descriptors to a QEMU that has just ended: the reason is its end, not the broken pipe", async (t) => {
  const fake = openFake(t);
  const client = await connect(fake, async () => new Error("QEMU was killed by SIGKILL"));
  fake.hangUp();
  // The other end is closed, and nobody has been told yet.
  await new Promise<void>((resolve) => process.nextTick(resolve));
  await t.throwsAsync(client.execute("getfd", { fdname: "a" }, soon(), [0]), { message: /SIGKILL/ });
});
