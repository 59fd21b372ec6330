/** struct virtio_net_hdr, in front of every frame of a tap. */
const VNET_HEADER = 10;
const VLAN = 0x8100;
const IPV4 = 0x0800;
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

/** An Ethernet frame with a datagram that carries `text`, ready for a tap. */
export function udpFrame({ from, to, sourceAddress, address, text, vlan }: FrameRequest): Buffer {
  const tag = vlan === undefined ? [] : [u16(VLAN), u16(vlan)];
  const payload = Buffer.from(text);
  const datagram = Buffer.concat([u16(9), u16(9), u16(8 + payload.length), u16(0), payload]);
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt16BE(20 + datagram.length, 2);
  header.writeUInt8(64, 8);
  header.writeUInt8(UDP, 9);
  ip(sourceAddress).copy(header, 12);
  ip(address).copy(header, 16);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([Buffer.alloc(VNET_HEADER), mac(to), mac(from), ...tag, u16(IPV4), header, datagram]);
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
const ip = (text: string): Buffer => Buffer.from(text.split(".").map(Number));
