// Needs root: works in network namespaces of its own.
import { execFileSync } from "node:child_process";
import test from "ava";
import { deadlineIn } from "../deadline.ts";
import { errnoOf } from "../error.ts";
import type { Rule } from "./records.ts";
import { addRule, decodeRule, deleteRule, encodeRule, listRules } from "./rule.ts";
import { openRoute } from "./socket.ts";

const soon = () => deadlineIn(10_000, "test");
const plain: Rule = {
  family: 4,
  priority: 100,
  source: "",
  destination: "",
  tos: 0,
  table: 254,
  action: 1,
  mark: 0,
  markMask: 0,
  inputInterface: "",
  outputInterface: "",
  invert: false,
  suppressPrefixLength: undefined,
  gotoPriority: 0,
  uids: undefined,
  ipProtocol: 0,
  sourcePorts: undefined,
  destinationPorts: undefined,
  protocol: 4,
};
const rules: readonly Rule[] = [
  plain,
  { ...plain, priority: 101, source: "10.0.0.0/8", destination: "192.0.2.1/32", tos: 16, table: 100_000 },
  { ...plain, priority: 102, mark: 0x200, markMask: 0xf00, inputInterface: "eth0", outputInterface: "lo" },
  { ...plain, priority: 103, action: 7, table: 0, invert: true, source: "10.1.0.0/16" },
  { ...plain, priority: 104, action: 2, table: 0, gotoPriority: 32_766 },
  { ...plain, priority: 105, suppressPrefixLength: 0 },
  { ...plain, priority: 106, uids: { start: 0, end: 99 }, ipProtocol: 6 },
  {
    ...plain,
    priority: 107,
    ipProtocol: 17,
    sourcePorts: { start: 1, end: 2 },
    destinationPorts: { start: 53, end: 53 },
  },
  { ...plain, family: 6, priority: 108, source: "fd00::/8", destination: "2001:db8::1/128" },
];

test("every field survives the way to the kernel's form and back", (t) => {
  for (const rule of rules) t.deepEqual(decodeRule(encodeRule(rule)), rule);
  t.is(decodeRule(Buffer.alloc(4)), undefined);
  t.is(decodeRule(Buffer.concat([Buffer.of(128), Buffer.alloc(11)])), undefined, "multicast routing");
});

test("the kernel takes, lists and deletes each", async (t) => {
  const name = `tapir-rule-${process.pid}`;
  execFileSync("ip", ["netns", "add", name]);
  try {
    using socket = openRoute({ netns: `/run/netns/${name}` });
    const own = await listRules(socket, soon());
    t.deepEqual(
      own.map(({ family, priority, table }) => [family, priority, table]),
      [
        [4, 0, 255],
        [4, 32_766, 254],
        [4, 32_767, 253],
        [6, 0, 255],
        [6, 32_766, 254],
      ],
    );
    for (const rule of rules) await addRule(socket, rule, soon());
    const listed = (await listRules(socket, soon())).filter(({ protocol }) => protocol === 4);
    t.deepEqual(listed, [...rules]);
    t.is(errnoOf(await t.throwsAsync(addRule(socket, plain, soon()))), "EEXIST");
    for (const rule of rules) await deleteRule(socket, rule, soon());
    t.deepEqual(await listRules(socket, soon()), own);
    t.is(errnoOf(await t.throwsAsync(deleteRule(socket, plain, soon()))), "ENOENT");
  } finally {
    execFileSync("ip", ["netns", "del", name]);
  }
});
