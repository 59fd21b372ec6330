import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { Interface } from "../../proto/gen/tapir/agent/v1/agent.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { codeOf } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { type DeviceTree, locate } from "./port.ts";

const PORT = "0000:00:03.0";
const DEVICE = "0000:02:00.0";
const MAC = "02:00:00:00:0d:01";
const ALIAS = "pci:v00008086d00001515";
const soon = () => deadlineIn(5000, "find a NIC");
const behind = (port: string): Interface => Interface.create({ name: "eth0", port });

/** A machine with a port, and what its device shows as things happen to it. */
function fakeMachine(t: ExecutionContext, onDriver: (alias: string) => void = () => undefined) {
  const devices = mkdtempSync(join(tmpdir(), "tapir-port-"));
  t.teardown(() => rmSync(devices, { recursive: true }));
  // A deadline keeps nothing awake.
  const awake = setInterval(() => undefined, 1000);
  t.teardown(() => clearInterval(awake));
  const device = join(devices, PORT, DEVICE);
  mkdirSync(join(devices, PORT), { recursive: true });
  // A port has folders of its own, too.
  mkdirSync(join(devices, PORT, "power"));
  let changed: (() => void) | undefined;
  const asked: string[] = [];
  const tree: DeviceTree = {
    devices,
    async loadDriver(alias) {
      asked.push(alias);
      onDriver(alias);
    },
    watch(listener) {
      changed = listener;
      return {
        [Symbol.dispose]: () => {
          changed = undefined;
        },
      };
    },
  };
  const write = (path: string, text: string): void => {
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, text);
  };
  return {
    tree,
    asked,
    isWatched: () => changed !== undefined,
    plug: () => write(join(device, "modalias"), `${ALIAS}\n`),
    /** `between`: what lies between device and link, as with virtio. */
    drive(between = "") {
      mkdirSync(join(device, "driver"), { recursive: true });
      write(join(device, between, "net/eth7/address"), `${MAC}\n`);
    },
    event: () => changed?.(),
  };
}

test("NICs that are known by their MAC are nobody's to look for", async (t) => {
  const machine = fakeMachine(t);
  const wanted = [Interface.create({ name: "eth0", mac: MAC })];
  t.is(await locate(wanted, soon(), machine.tree), wanted);
});

for (const [what, between] of [
  ["a device's own", ""],
  ["a virtio device's", "virtio3"],
] as const) {
  test(`a NIC behind a port is found by the MAC that it came with, ${what}`, async (t) => {
    const machine = fakeMachine(t);
    machine.plug();
    machine.drive(between);
    const [found, other] = await locate(
      [behind(PORT), Interface.create({ name: "eth1", mac: "02:00:00:00:00:01" })],
      soon(),
      machine.tree,
    );
    t.is(found?.hardwareMac, MAC);
    t.is(other?.hardwareMac, undefined);
    t.deepEqual(machine.asked, [], "it has its driver");
    t.false(machine.isWatched(), "nobody watches any more");
  });
}

test("a device without driver gets it, by what it calls itself", async (t) => {
  const machine = fakeMachine(t, () => machine.drive());
  machine.plug();
  const [found] = await locate([behind(PORT)], soon(), machine.tree);
  t.is(found?.hardwareMac, MAC);
  t.deepEqual(machine.asked, [ALIAS]);
});

test("a device that comes late is waited for, and its link as well; its driver is asked for once", async (t) => {
  const machine = fakeMachine(t);
  const locating = locate([behind(PORT)], soon(), machine.tree);
  const settled = async (): Promise<void> => {
    machine.event();
    await new Promise((resolve) => setImmediate(resolve));
  };
  await settled();
  t.deepEqual(machine.asked, []);
  machine.plug();
  await settled();
  t.deepEqual(machine.asked, [ALIAS]);
  // Events of others.
  await settled();
  machine.drive();
  machine.event();
  t.is((await locating)[0]?.hardwareMac, MAC);
  t.deepEqual(machine.asked, [ALIAS]);
});

test("a device without any driver is waited for until the time is up", async (t) => {
  const machine = fakeMachine(t, () => {
    throw new Error("module not found");
  });
  machine.plug();
  const error = await t.throwsAsync(locate([behind(PORT)], deadlineIn(200, "find a NIC"), machine.tree));
  t.is(codeOf(error), Code.DEADLINE_EXCEEDED);
  t.deepEqual(machine.asked, [ALIAS]);
  t.false(machine.isWatched());
});

test("a NIC behind another port is none of it", async (t) => {
  const machine = fakeMachine(t);
  machine.plug();
  machine.drive();
  const error = await t.throwsAsync(
    locate([behind("0000:00:04.0")], deadlineIn(200, "find a NIC"), machine.tree),
  );
  t.is(codeOf(error), Code.DEADLINE_EXCEEDED);
});
