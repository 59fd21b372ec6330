import test from "ava";
import { parseProcess, parseResources, parseSpec } from "./parse-spec.ts";

const GOOD = { process: { args: ["sh"], cwd: "/" }, linux: {} };
const spec = (changes: object): unknown => parseSpec(Buffer.from(JSON.stringify({ ...GOOD, ...changes })));

test("text that is no specification is refused by what is wrong with it", (t) => {
  for (const text of ["", "{", "null", "[]", '"x"', "\u0000"])
    t.throws(() => parseSpec(Buffer.from(text)), { message: /cannot accept container spec/ });
  const wrong: [object, RegExp][] = [
    [{ process: undefined }, /accept process: it must be an object/],
    [{ process: { args: [], cwd: "/" } }, /process\.args.*at least the program/],
    [{ process: { args: "sh", cwd: "/" } }, /process\.args/],
    [{ process: { args: ["a\0b"], cwd: "/" } }, /process\.args/],
    [{ process: { args: ["a"], cwd: "tmp" } }, /process\.cwd.*absolute/],
    [{ process: { args: ["a"], cwd: "/a/../b" } }, /process\.cwd/],
    [{ process: { args: ["a"], cwd: "/", env: [1] } }, /process\.env/],
    [{ process: { args: ["a"], cwd: "/", consoleSize: { height: -1, width: 0 } } }, /consoleSize/],
    [{ linux: undefined }, /accept linux/],
    [{ linux: [] }, /accept linux/],
    [{ mounts: {} }, /mounts/],
    [{ mounts: [{ destination: "relative" }] }, /mounts\[0\]\.destination/],
    [{ mounts: [{ destination: "/a/../../b" }] }, /mounts\[0\]\.destination/],
    [{ mounts: [{ destination: "/a", options: "ro" }] }, /mounts\[0\]\.options/],
    [{ mounts: Array(1025).fill({ destination: "/a" }) }, /mounts.*at most 1024/],
    [{ linux: { namespaces: [{ type: 1 }] } }, /namespaces\[0\]\.type/],
    [{ linux: { devices: [{ type: "x", path: "/dev/x" }] } }, /devices\[0\]\.type/],
    [{ linux: { devices: [{ type: "c", path: "/dev/../etc" }] } }, /devices\[0\]\.path/],
    [{ linux: { sysctl: { "net.x": 1 } } }, /sysctl\["net\.x"\]/],
    [{ linux: { resources: { devices: [{}] } } }, /devices\[0\]\.allow/],
    [{ linux: { resources: { memory: "1" } } }, /resources\.memory/],
    [{ linux: { seccomp: [] } }, /seccomp/],
  ];
  for (const [changes, message] of wrong)
    t.throws(() => spec(changes), { message }, JSON.stringify(changes).slice(0, 60));
  t.notThrows(() => spec({}));
});

test("a process and resources alone", (t) => {
  t.throws(() => parseProcess(Buffer.from('{"args":["sh"]}')), { message: /process\.cwd/ });
  t.is(parseProcess(Buffer.from('{"args":["sh"],"cwd":"/","terminal":true}')).terminal, true);
  t.throws(() => parseResources(Buffer.from('{"cpu":1}')), { message: /resources\.cpu/ });
  t.deepEqual(parseResources(Buffer.from('{"pids":null}')), {});
});
