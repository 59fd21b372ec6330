import { createSocket } from "node:dgram";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { median } from "./median.ts";
import { PORTS } from "./net-services.ts";

/** What a program of bench:net is told to do, a line of JSON. */
export interface Order {
  readonly what: keyof typeof WORK;
  readonly address: string;
  readonly ms: number;
}

const DATAGRAM = Buffer.alloc(64);
/** Datagrams on the way to the kernel at a time. */
const WINDOW = 64;

async function open(address: string, port: number): Promise<Socket> {
  const socket = connect({ host: address, port, noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve).once("error", reject);
  });
  socket.on("error", () => undefined);
  return socket;
}

/** Bytes per second that left for the pod. */
async function send(address: string, ms: number): Promise<number> {
  const socket = await open(address, PORTS.sink);
  const chunk = Buffer.alloc(256 << 10);
  let going = true;
  const pump = (): void => {
    while (going && socket.write(chunk));
  };
  socket.on("drain", pump);
  pump();
  // The first moments fill buffers on the way.
  await sleep(ms / 4);
  const [bytes, from] = [socket.bytesWritten - socket.writableLength, performance.now()];
  await sleep(ms);
  const rate = (socket.bytesWritten - socket.writableLength - bytes) / ((performance.now() - from) / 1000);
  going = false;
  socket.destroy();
  return rate;
}

/** Bytes per second that came from the pod. */
async function receive(address: string, ms: number): Promise<number> {
  const socket = await open(address, PORTS.source);
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await sleep(ms / 4);
  const [before, from] = [bytes, performance.now()];
  await sleep(ms);
  const rate = (bytes - before) / ((performance.now() - from) / 1000);
  socket.destroy();
  return rate;
}

/** Datagrams per second that the pod's NIC counted. */
async function datagrams(address: string, ms: number): Promise<number> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.connect(PORTS.nothing, address, resolve));
  socket.on("error", () => undefined);
  const before = await counted(address);
  const from = performance.now();
  let waiting = 0;
  await new Promise<void>((resolve) => {
    const more = (): void => {
      waiting -= 1;
      if (performance.now() - from < ms) fill();
      else if (waiting === 0) resolve();
    };
    const fill = (): void => {
      for (; waiting < WINDOW; waiting += 1) socket.send(DATAGRAM, more);
    };
    fill();
  });
  const seconds = (performance.now() - from) / 1000;
  socket.close();
  return ((await counted(address)) - before) / seconds;
}

/** Packets that all NICs of the pod received so far; only one of them has traffic. */
async function counted(address: string): Promise<number> {
  const socket = await open(address, PORTS.counters);
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  const lines = [...text.matchAll(/^\s*(?!lo:)\S+:\s*\d+\s+(\d+)/gm)];
  return lines.reduce((sum, [, packets]) => sum + Number(packets), 0);
}

/** Microseconds from a byte to its echo, the median. */
async function ask(address: string, ms: number): Promise<number> {
  const socket = await open(address, PORTS.echo);
  const times: number[] = [];
  const end = performance.now() + ms;
  let sent = performance.now();
  await new Promise<void>((resolve) => {
    socket.on("data", () => {
      const now = performance.now();
      times.push((now - sent) * 1000);
      if (now > end) return resolve();
      sent = performance.now();
      socket.write("x");
    });
    socket.on("close", resolve);
    socket.write("x");
  });
  socket.destroy();
  return median(times);
}

/** Resolves when the pod's services answer; returns how long that took. */
async function reach(address: string, ms: number): Promise<number> {
  const from = performance.now();
  for (;;) {
    const found = await Promise.race([counted(address).catch(() => undefined), sleep(1000)]);
    if (found !== undefined) return performance.now() - from;
    if (performance.now() - from > ms) throw new Error(`${address} does not answer`);
    await sleep(100);
  }
}

const WORK = { reach, send, receive, datagrams, ask } as const;

/** Carries out one line; returns the line that answers it. */
export async function carryOut(line: string): Promise<string> {
  const { what, address, ms } = JSON.parse(line) as Order;
  const answer = await WORK[what](address, ms).then(
    (value) => ({ value }),
    (error: unknown) => ({ error: String(error) }),
  );
  return `${JSON.stringify(answer)}\n`;
}
