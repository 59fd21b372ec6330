import { closeSync, openSync } from "node:fs";
import koffi from "koffi";
import { createMap, instruction, linkProgram, loadProgram, updateMap } from "./bpf.ts";
import { errnoNumber } from "./errno.ts";
import { check, libc } from "./libc.ts";
import { inNetns } from "./netns.ts";

/** A socket of another network namespace to which every TCP connection comes that is made there to an own address. */
export interface SteeredSocket {
  /** Listens; for whoever accepts. Both families, where the kernel has IPv6. */
  readonly listening: number;
  /** Ends the steering; the listening socket itself stays open. */
  stop(): void;
}

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const BACKLOG = 128;

// linux/bpf.h
const MAP_TYPE_SOCKMAP = 15;
const PROG_TYPE_SK_LOOKUP = 30;
const ATTACH_SK_LOOKUP = 36;
const HELPER = { MAP_LOOKUP_ELEM: 1, SK_RELEASE: 86, SK_ASSIGN: 124 } as const;
const SK_PASS = 1;

/**
 * Listens in the namespace at `netns`, on every port at once: a program that the kernel asks for the listener of each new
 * connection (SK_LOOKUP, Linux 5.9) names the one socket. No rule, no module; it is gone with its descriptors.
 */
export function steerConnections(netns: string): SteeredSocket {
  const held: number[] = [];
  const hold = (fd: number): number => {
    held.push(fd);
    return fd;
  };
  try {
    const listening = hold(inNetns(netns, listenAnywhere));
    const map = createMap(MAP_TYPE_SOCKMAP, 1);
    let program: number;
    try {
      updateMap(map, 0, listening);
      program = loadProgram(PROG_TYPE_SK_LOOKUP, ATTACH_SK_LOOKUP, lookupProgram(map));
    } finally {
      // The program keeps the map.
      closeSync(map);
    }
    let link: number;
    const namespace = openSync(netns, "r");
    try {
      link = linkProgram(program, namespace, ATTACH_SK_LOOKUP);
    } finally {
      // The link keeps the program.
      closeSync(program);
      closeSync(namespace);
    }
    return { listening, stop: () => closeSync(link) };
  } catch (error) {
    for (const fd of held) closeSync(fd);
    throw error;
  }
}

/** A listening socket on a port that the kernel chooses. */
function listenAnywhere(): number {
  const flags = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  let fd = libc.socket(AF_INET6, flags, 0);
  const both = fd !== -1;
  if (!both && errnoNumber.nameOf(koffi.errno()) === "EAFNOSUPPORT") fd = libc.socket(AF_INET, flags, 0);
  check(fd, "create", "listening socket");
  try {
    if (both) check(libc.setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, Buffer.alloc(4), 4), "set up", "socket");
    const address = Buffer.alloc(both ? 28 : 16);
    address.writeUInt16LE(both ? AF_INET6 : AF_INET, 0);
    check(libc.bind(fd, address, address.length), "bind", "listening socket");
    check(libc.listen(fd, BACKLOG), "listen on", "socket");
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Takes the socket from the map and assigns it to whatever is being looked up. A UDP packet does not take it. */
function lookupProgram(map: number): Buffer {
  const [r0, r1, r2, r3, r6, r7, stack] = [0, 1, 2, 3, 6, 7, 10];
  const MOVE = 0xbf;
  const MOVE_VALUE = 0xb7;
  const CALL = 0x85;
  return Buffer.concat([
    instruction(MOVE, { to: r6, from: r1 }),
    // *(u32 *)(stack - 4) = 0: the key
    instruction(0x62, { to: stack, offset: -4, value: 0 }),
    // A descriptor of a map is loaded by two instructions, marked by 1 as the source.
    instruction(0x18, { to: r1, from: 1, value: map }),
    instruction(0, {}),
    instruction(MOVE, { to: r2, from: stack }),
    instruction(0x07, { to: r2, value: -4 }),
    instruction(CALL, { value: HELPER.MAP_LOOKUP_ELEM }),
    // No socket: on to the end.
    instruction(0x15, { to: r0, value: 0, offset: 7 }),
    instruction(MOVE, { to: r7, from: r0 }),
    instruction(MOVE, { to: r1, from: r6 }),
    instruction(MOVE, { to: r2, from: r7 }),
    instruction(MOVE_VALUE, { to: r3, value: 0 }),
    instruction(CALL, { value: HELPER.SK_ASSIGN }),
    instruction(MOVE, { to: r1, from: r7 }),
    instruction(CALL, { value: HELPER.SK_RELEASE }),
    instruction(MOVE_VALUE, { to: r0, value: SK_PASS }),
    instruction(0x95, {}),
  ]);
}
