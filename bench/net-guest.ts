import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { addressOf, ENDS } from "./net-ends.ts";
import { PORTS } from "./net-services.ts";
import { carryOut } from "./net-work.ts";

/** In the place of the agent, as process 1 of a guest: makes traffic as net-client.ts does, for whoever connects. */
const CLASS = "/sys/class/net";

const ip = (line: string): unknown => execFileSync("/usr/bin/busybox", ["ip", ...line.split(" ")]);

ip("link set lo up");
writeFileSync("/proc/sys/net/ipv4/conf/all/arp_ignore", "1");
for (const nic of readdirSync(CLASS).filter((name) => name.startsWith("eth"))) {
  const net = Number.parseInt(readFileSync(`${CLASS}/${nic}/address`, "utf8").trim().slice(-2), 16);
  ip(`addr add ${addressOf(net, ENDS.asking)}/24 dev ${nic}`);
  ip(`link set ${nic} up`);
}
createServer((socket) => {
  socket.on("error", () => undefined);
  createInterface({ input: socket }).on("line", async (line) => socket.write(await carryOut(line)));
}).listen(PORTS.orders);
// As every pod of the bench tells it: whoever waits for this one asks for it.
createServer((socket) => {
  socket.on("error", () => undefined).end(readFileSync("/proc/net/dev"));
}).listen(PORTS.counters);
