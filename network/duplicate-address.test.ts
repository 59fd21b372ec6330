// Needs root and /dev/net/tun: what a guest sends to find out whether somebody has its address already comes back unanswered,
// though the pod's namespace has that address, too.
import { writeSync } from "node:fs";
import test from "ava";
import { deadlineIn } from "../sys/deadline.ts";
import { parseIp, parseMac } from "../sys/netlink/address-text.ts";
import { attachPair, frameFrom, run, usePodPairs } from "../test/fakes/pod-pair.ts";
import { modelNamed } from "./models.ts";

const MAC = "02:00:00:00:00:02";
const VNET_HEADER = 10;
const ARP = 0x0806;
const IPV6 = 0x86dd;
const ICMP6 = { SOLICITATION: 135, ADVERTISEMENT: 136 } as const;
const NOBODY_MS = 500;
const pairs = usePodPairs(test);

/** An ARP request that says nothing of who asks but the MAC (RFC 5227). */
function arpProbe(address: string): Buffer {
  const arp = Buffer.alloc(28);
  arp.writeUInt16BE(1, 0);
  arp.writeUInt16BE(0x0800, 2);
  arp.writeUInt8(6, 4);
  arp.writeUInt8(4, 5);
  arp.writeUInt16BE(1, 6);
  parseMac(MAC).copy(arp, 8);
  parseIp(address).copy(arp, 24);
  return frame(Buffer.alloc(6, 0xff), ARP, arp);
}

/** A neighbour solicitation from nobody (RFC 4862). */
function solicitation(address: string): Buffer {
  const target = parseIp(address);
  const group = parseIp("ff02::1:ff00:0");
  target.copy(group, 13, 13);
  const message = Buffer.alloc(24);
  message.writeUInt8(ICMP6.SOLICITATION, 0);
  target.copy(message, 8);
  const header = Buffer.alloc(40);
  header.writeUInt8(0x60, 0);
  header.writeUInt16BE(message.length, 4);
  header.writeUInt8(58, 6);
  header.writeUInt8(255, 7);
  group.copy(header, 24);
  const pseudo = Buffer.concat([header.subarray(8), Buffer.of(0, 0, 0, message.length, 0, 0, 0, 58)]);
  message.writeUInt16BE(checksum(Buffer.concat([pseudo, message])), 2);
  const multicast = Buffer.concat([Buffer.of(0x33, 0x33), group.subarray(12)]);
  return frame(multicast, IPV6, Buffer.concat([header, message]));
}

function frame(to: Buffer, type: number, content: Buffer): Buffer {
  const kind = Buffer.of(type >> 8, type & 0xff);
  return Buffer.concat([Buffer.alloc(VNET_HEADER), to, parseMac(MAC), kind, content]);
}

function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

const isArpReply = (bytes: Buffer): boolean => bytes.readUInt16BE(12) === ARP && bytes.readUInt16BE(20) === 2;
const isAdvertisement = (bytes: Buffer): boolean =>
  bytes.readUInt16BE(12) === IPV6 && bytes.readUInt8(54) === ICMP6.ADVERTISEMENT;

for (const name of ["tcfilter", "macvtap"]) {
  test.serial(`${name}: no answer to a probe for the pod's own address, one for a neighbour's`, async (t) => {
    const pair = pairs.make();
    for (const [netns, link, host] of [
      [pair.pod, "eth0", 2],
      [pair.node, "far0", 1],
    ]) {
      run(`ip -n ${netns} addr add fd00:9::${host}/64 dev ${link} nodad`);
    }
    const ledger = pairs.ledger();
    t.teardown(() => ledger.unwind());
    const [nic] = await attachPair(pair, { model: modelNamed(name), ledger }, deadlineIn(30_000, "attach"));
    const fds = nic?.tapFds ?? [];
    const answer = (probe: Buffer, isAnswer: (bytes: Buffer) => boolean, ms: number): Promise<Buffer> => {
      writeSync(fds[0] ?? -1, probe);
      return frameFrom(fds, isAnswer, deadlineIn(ms, "wait for an answer"));
    };
    // A neighbour answers: probes leave, and answers would be seen.
    await t.notThrowsAsync(answer(arpProbe("10.9.1.1"), isArpReply, 30_000));
    await t.notThrowsAsync(answer(solicitation("fd00:9::1"), isAdvertisement, 30_000));
    await t.throwsAsync(answer(arpProbe("10.9.1.2"), isArpReply, NOBODY_MS), { name: "AbortError" });
    await t.throwsAsync(answer(solicitation("fd00:9::2"), isAdvertisement, NOBODY_MS), {
      name: "AbortError",
    });
  });
}
