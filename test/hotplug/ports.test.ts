// Requires root, /dev/net/tun, qemu-system-x86_64, and the guest image below build/.
// The host says by a PCI address where a device lies in the guest, which looks for it there.
import test from "ava";
import { MAX_ROOT_PORTS } from "../../hypervisor/qemu/topology.ts";
import { codeOf } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { randomFrom } from "../fuzz/random.ts";
import { useInventory } from "../harness/fixture.ts";
import { type HotplugGuest, restoreHotplugGuest, soon } from "./guest.ts";

const MARK = "tapir-ports-";
const BUILD_MS = 150_000;
const SEED = 29;
const GONE = 9;

let guest: HotplugGuest;

useInventory(test, MARK, async () => {
  await guest?.[Symbol.asyncDispose]();
});

test.before("save and restore a guest", async (t) => {
  t.timeout(BUILD_MS);
  guest = await restoreHotplugGuest(MARK, MAX_ROOT_PORTS);
});

test.serial(
  `${MAX_ROOT_PORTS} NICs, gone in any order and back: each lies where it is said to`,
  async (t) => {
    t.timeout(300_000);
    const { vm, openNic, configure, macs } = guest;
    const random = randomFrom(SEED);
    const found = (mac: string): string => mac.replace(/^02/, "06");
    const ports = new Map<string, string>();
    const plug = async (id: string): Promise<void> => {
      const nic = openNic(id, 1);
      await vm.nics.attach(nic, soon()).finally(() => nic.close());
      const port = vm.hostDevices.portOf(id) ?? "";
      t.false([...ports.values()].includes(port), `${port} is taken`);
      ports.set(id, port);
      // Whatever lies there gets another MAC: it has to be this one's that is gone then.
      await configure({ mac: found(nic.mac), port }, id);
      const there = await macs();
      t.true(there.includes(found(nic.mac)) && !there.includes(nic.mac), `${id} is not at ${port}`);
      t.is(there.length, ports.size);
    };
    const unplug = async (id: string): Promise<void> => {
      await vm.nics.detach(id, soon());
      ports.delete(id);
      t.is((await macs()).length, ports.size);
    };
    const ids = Array.from({ length: MAX_ROOT_PORTS }, (_, at) => `n${at + 1}`);
    for (const id of ids) await plug(id);
    const refused = openNic("n99", 1);
    t.is(codeOf(await t.throwsAsync(vm.nics.attach(refused, soon()))), Code.RESOURCE_EXHAUSTED);
    refused.close();
    const drawn = new Map(ids.map((id) => [id, random.below(1 << 20)]));
    const order = ids.toSorted((a, b) => (drawn.get(a) ?? 0) - (drawn.get(b) ?? 0));
    const gone = order.slice(0, GONE);
    for (const id of gone) await unplug(id);
    for (const id of gone.toReversed()) await plug(id);
  },
);
