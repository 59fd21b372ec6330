import { parseIp } from "../../sys/netlink/address-text.ts";

/** struct virtio_net_hdr, in front of every frame of a tap. */
const VNET_HEADER = 10;
const VLAN = 0x8100;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const UDP = 17;

export interface FrameRequest {
  readonly from: string;
  readonly to: string;
  readonly sourceAddress: string;
  readonly address: string;
  readonly text: string;
  /** Tag of a VLAN. */
  readonly vlan?: number | undefined;
}

/** An Ethernet frame with a datagram that carries `text`, ready for a tap; of IPv6 when the addresses are. */
export function udpFrame({ from, to, sourceAddress, address, text, vlan }: FrameRequest): Buffer {
  const tag = vlan === undefined ? [] : [u16(VLAN), u16(vlan)];
  const payload = Buffer.from(text);
  const datagram = Buffer.concat([u16(9), u16(9), u16(8 + payload.length), u16(0), payload]);
  const isSix = address.includes(":");
  const packet = isSix
    ? ipv6Packet(sourceAddress, address, datagram)
    : ipv4Packet(sourceAddress, address, datagram);
  return Buffer.concat([
    Buffer.alloc(VNET_HEADER),
    ...[mac(to), mac(from), ...tag, u16(isSix ? IPV6 : IPV4), packet],
  ]);
}

function ipv4Packet(from: string, to: string, datagram: Buffer): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt16BE(20 + datagram.length, 2);
  header.writeUInt8(64, 8);
  header.writeUInt8(UDP, 9);
  parseIp(from).copy(header, 12);
  parseIp(to).copy(header, 16);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, datagram]);
}

/** Its datagram has no checksum: nobody takes it out of the frame. */
function ipv6Packet(from: string, to: string, datagram: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(0x60, 0);
  header.writeUInt16BE(datagram.length, 4);
  header.writeUInt8(UDP, 6);
  header.writeUInt8(64, 7);
  return Buffer.concat([header, parseIp(from), parseIp(to), datagram]);
}

function checksum(header: Buffer): number {
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}

const mac = (text: string): Buffer => Buffer.from(text.replaceAll(":", ""), "hex");
