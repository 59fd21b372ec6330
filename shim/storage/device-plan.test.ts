import test from "ava";
import type { OciDevice, OciDeviceRule } from "../sandbox/oci.ts";
import { planDevices } from "./device-plan.ts";
import { deviceNumber, hostBlockDevice } from "./disks.ts";

const device = (path: string, minor: number, type = "b"): OciDevice => ({ path, type, major: 8, minor });
const rule = (parts: Partial<OciDeviceRule> = {}): OciDeviceRule => {
  return { allow: true, type: "b", major: 8, minor: 16, access: "rwm", ...parts };
};
const NOTHING: OciDeviceRule = { allow: false, type: "", major: -1, minor: -1, access: "rwm" };
const ALL: OciDeviceRule = { allow: true, type: "", major: -1, minor: -1, access: "rwm" };
const hostPath = (_: number, minor: number): string | undefined => ({ 0: "/dev/sda", 16: "/dev/sdb" })[minor];

test("a raw block volume is a disk, writable where the rules say so", (t) => {
  const devices = [device("/dev/xvda", 16)];
  const disk = { path: "/dev/xvda", hostPath: "/dev/sdb", major: 8, minor: 16 };
  t.deepEqual(planDevices({ devices, deviceRules: [NOTHING, rule()] }, hostPath), [
    { ...disk, readOnly: false },
  ]);
  const readOnly = [NOTHING, rule({ access: "rm" })];
  t.deepEqual(planDevices({ devices, deviceRules: readOnly }, hostPath), [{ ...disk, readOnly: true }]);
});

test("devices that are no disks, and those that the host does not have, are the guest's", (t) => {
  const devices = [device("/dev/null", 16, "c"), device("/dev/xvdz", 99)];
  t.deepEqual(planDevices({ devices, deviceRules: [ALL] }, hostPath), []);
});

test("privileged is privileged in the guest: only what has another name than on the host is meant", (t) => {
  const devices = [device("/dev/sda", 0), device("/dev/sdb", 16), device("/dev/volume", 16)];
  const planned = planDevices({ devices, deviceRules: [ALL] }, hostPath);
  t.deepEqual(
    planned.map(({ path }) => path),
    ["/dev/volume"],
  );
});

test("numbers of devices", (t) => {
  t.is(deviceNumber({ major: 8, minor: 16 }), 0x810);
  t.is(deviceNumber({ major: 254, minor: 0x12345 }), 0x1230fe45);
  t.is(hostBlockDevice(4095, 1_048_575), undefined);
});
