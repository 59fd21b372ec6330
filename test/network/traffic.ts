import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { deadlineIn } from "../../sys/deadline.ts";
import type { AttachPod, RunScript } from "../attach/pod.ts";
import type { TestNode } from "../harness/node.ts";
import { runOk } from "../harness/run.ts";

const PORT = 5000;
/** More than any limit of the tests, and little enough for a busy machine: 12 Mbit/s to each address. */
const DATAGRAM_BYTES = 1200;
const BATCH = { datagrams: 25, milliseconds: 20 } as const;
const SECONDS = 3;

/** Sends datagrams: what a shaper lets through does not depend on how fast anybody answers. Takes streams: they do not flood a guest. */
const NODE_SIDE = `
require("node:net").createServer((stream) => stream.on("error", () => {}).resume()).listen(${PORT});
const { createSocket } = require("node:dgram");
const bytes = Buffer.alloc(${DATAGRAM_BYTES});
// One each: what waits for one pod's NIC must not keep another's waiting.
const targets = process.argv.slice(1).map((address) => ({ address, socket: createSocket("udp4") }));
const start = performance.now();
let sent = 0;
const send = () => {
  const due = Math.floor((performance.now() - start) / ${BATCH.milliseconds}) * ${BATCH.datagrams};
  for (const limit = Math.min(due, sent + 4 * ${BATCH.datagrams}); sent < limit; sent++)
    for (const { socket, address } of targets) socket.send(bytes, ${PORT}, address, () => {});
  sent = due;
};
setInterval(send, ${BATCH.milliseconds});
console.log("ready");
`;

/** Takes what pods send, and sends datagrams to the addresses given, until it is killed. */
async function startNodeSide(node: TestNode, to: readonly string[]): Promise<ChildProcess> {
  const args = [`--net=${node.netns}`, process.execPath, "-e", NODE_SIDE, ...to];
  const child = spawn("nsenter", args, { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout ?? child, "data");
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  const exited = once(child, "exit");
  child.kill();
  await exited;
}

/** Megabits per second of Ethernet frames that passed. */
export interface Rates {
  readonly rx: number;
  readonly tx: number;
}

/** The two ends of a NIC's wire. */
export interface Ends {
  readonly node: string;
  readonly pod: string;
}

/**
 * How much goes through each NIC, all at once and one direction after the other, when more is sent. What the pod receives its guest
 * counts; what it sends, the links of its namespace, after what slows it down.
 */
export async function measureRates(
  node: TestNode,
  pod: AttachPod,
  runScript: RunScript,
  nics: Readonly<Record<string, Ends>>,
): Promise<Record<string, Rates>> {
  const names = Object.keys(nics);
  const ends = Object.values(nics);
  const files = names.map((nic) => `/sys/class/net/${nic}/statistics/rx_bytes`).join(" ");
  const look = `cut -d' ' -f1 /proc/uptime; cat ${files}`;

  const sender = await startNodeSide(
    node,
    ends.map((one) => one.pod),
  );
  // The first burst is over a second later.
  const said = await runScript(`sleep 1; ${look}; sleep ${SECONDS}; ${look}`);
  await end(sender);
  const numbers = said.split("\n").map(Number);
  const rx = ratesOf(numbers.slice(0, 1 + names.length), numbers.slice(1 + names.length));

  const sink = await startNodeSide(node, []);
  const clients = ends.map((one) => `nc ${one.node} ${PORT} </dev/zero >/dev/null 2>&1 &`);
  await runScript([...clients, ...clients, "sleep 1"].join("\n"));
  const before = await sentBytes(pod, names);
  await sleep(1000 * SECONDS);
  const tx = ratesOf(before, await sentBytes(pod, names));
  await runScript("killall nc");
  await end(sink);
  return Object.fromEntries(names.map((nic, at) => [nic, { rx: rx[at] ?? 0, tx: tx[at] ?? 0 }]));
}

/** Of lists that begin with seconds and go on with bytes. */
function ratesOf(before: readonly number[], after: readonly number[]): number[] {
  const [start = 0, ...first] = before;
  const [stop = 0, ...last] = after;
  return last.map((bytes, at) => (bytes - (first[at] ?? 0)) / (stop - start) / 125_000);
}

async function sentBytes({ netnsPath }: AttachPod, nics: readonly string[]): Promise<number[]> {
  const deadline = deadlineIn(5000, "look at the links");
  const text = await runOk({ command: "ip", args: ["-j", "-s", "link"], netns: netnsPath, deadline });
  const links = JSON.parse(text) as { ifname: string; stats64: { tx: { bytes: number } } }[];
  const bytes = (nic: string): number => links.find(({ ifname }) => ifname === nic)?.stats64.tx.bytes ?? 0;
  return [performance.now() / 1000, ...nics.map(bytes)];
}
