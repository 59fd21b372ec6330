import test from "ava";
import type { OciDevice, OciDeviceRule } from "../sandbox/oci.ts";
import { type HostDevices, planDevices } from "./device-plan.ts";
import { deviceNumber, hostDevices } from "./disks.ts";

const device = (path: string, minor: number, type = "b"): OciDevice => ({ path, type, major: 8, minor });
const rule = (parts: Partial<OciDeviceRule> = {}): OciDeviceRule => {
  return { allow: true, type: "b", major: 8, minor: 16, access: "rwm", ...parts };
};
const NOTHING: OciDeviceRule = { allow: false, type: "", major: -1, minor: -1, access: "rwm" };
const ALL: OciDeviceRule = { allow: true, type: "", major: -1, minor: -1, access: "rwm" };
/** The last one is another name of the second. */
const NAMES: Readonly<Record<string, number>> = { "/dev/sda": 0, "/dev/sdb": 16, "/dev/mapper/vg-root": 16 };
const host: HostDevices = {
  pathOf: (_, minor) => Object.keys(NAMES).find((path) => NAMES[path] === minor),
  isSame: ({ path, minor }) => NAMES[path] === minor,
};

test("a raw block volume is a disk, writable where the rules say so", (t) => {
  const devices = [device("/dev/xvda", 16)];
  const disk = { path: "/dev/xvda", hostPath: "/dev/sdb", major: 8, minor: 16 };
  t.deepEqual(planDevices({ devices, deviceRules: [NOTHING, rule()] }, host), [{ ...disk, readOnly: false }]);
  const readOnly = [NOTHING, rule({ access: "rm" })];
  t.deepEqual(planDevices({ devices, deviceRules: readOnly }, host), [{ ...disk, readOnly: true }]);
});

test("devices that are no disks, and those that the host does not have, are the guest's", (t) => {
  const devices = [device("/dev/null", 16, "c"), device("/dev/xvdz", 99)];
  t.deepEqual(planDevices({ devices, deviceRules: [ALL] }, host), []);
});

test("privileged is privileged in the guest: only what the host does not have under that name is meant", (t) => {
  const mapped = device("/dev/mapper/vg-root", 16);
  const named = [device("/dev/sda", 0), device("/dev/sdb", 16), mapped];
  // The second has a name of the host's, of another device there.
  const devices = [...named, device("/dev/volume", 16), device("/dev/sda", 16)];
  const planned = planDevices({ devices, deviceRules: [ALL] }, host);
  t.deepEqual(
    planned.map(({ path, minor }) => `${path} ${minor}`),
    ["/dev/volume 16", "/dev/sda 16"],
  );
});

test("numbers of devices", (t) => {
  t.is(deviceNumber({ major: 8, minor: 16 }), 0x810);
  t.is(deviceNumber({ major: 254, minor: 0x12345 }), 0x1230fe45);
  t.is(hostDevices.pathOf(4095, 1_048_575), undefined);
  t.false(hostDevices.isSame({ path: "/dev/null", major: 1, minor: 3 }), "no block device");
  t.false(hostDevices.isSame({ path: "/dev/no-such-device", major: 1, minor: 3 }));
});
