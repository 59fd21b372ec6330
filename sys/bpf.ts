import koffi from "koffi";
import { check, libc } from "./libc.ts";

/** The few commands of bpf(2) that Tapir uses. Every descriptor returned is close-on-exec and the caller's. */

const BPF = process.arch === "x64" ? 321 : 280;
const COMMAND = { MAP_CREATE: 0, MAP_UPDATE_ELEM: 2, PROG_LOAD: 5, LINK_CREATE: 28 } as const;
const HINT = "it takes Linux 5.9 or newer and root";

const elementAttributes = koffi.struct({
  map: "uint32",
  key: "void *",
  value: "void *",
  flags: "uint64",
});
const programAttributes = koffi.struct({
  type: "uint32",
  instructionCount: "uint32",
  instructions: "void *",
  license: "void *",
  logLevel: "uint32",
  logSize: "uint32",
  log: "void *",
  kernelVersion: "uint32",
  flags: "uint32",
  name: koffi.array("uint8", 16),
  interfaceIndex: "uint32",
  attachType: "uint32",
});
const elementPointer = koffi.pointer(elementAttributes);
const programPointer = koffi.pointer(programAttributes);

/** A map with keys and values of 32 bits. */
export function createMap(type: number, entries: number): number {
  const attributes = Buffer.alloc(20);
  attributes.writeUInt32LE(type, 0);
  attributes.writeUInt32LE(4, 4);
  attributes.writeUInt32LE(4, 8);
  attributes.writeUInt32LE(entries, 12);
  return call(COMMAND.MAP_CREATE, attributes, attributes.length, "create", "BPF map");
}

/** Sets one entry of a map made by `createMap`. */
export function updateMap(map: number, key: number, value: number): void {
  const attributes = { map, key: words(key), value: words(value), flags: 0 };
  const size = koffi.sizeof(elementAttributes);
  call(COMMAND.MAP_UPDATE_ELEM, koffi.as(attributes, elementPointer), size, "set an entry of", "BPF map");
}

/** Loads a program under a license that lets it call everything. */
export function loadProgram(type: number, attachType: number, instructions: Buffer): number {
  const attributes = {
    type,
    instructionCount: instructions.length / INSTRUCTION_BYTES,
    instructions,
    license: Buffer.from("GPL\0"),
    logLevel: 0,
    logSize: 0,
    log: null,
    kernelVersion: 0,
    flags: 0,
    name: [...Buffer.from("tapir".padEnd(16, "\0"))],
    interfaceIndex: 0,
    attachType,
  };
  const size = koffi.sizeof(programAttributes);
  return call(COMMAND.PROG_LOAD, koffi.as(attributes, programPointer), size, "load", "BPF program");
}

/** Attaches a program to the object behind `target` for as long as the descriptor returned is open. */
export function linkProgram(program: number, target: number, attachType: number): number {
  const attributes = Buffer.alloc(16);
  attributes.writeUInt32LE(program, 0);
  attributes.writeUInt32LE(target, 4);
  attributes.writeUInt32LE(attachType, 8);
  return call(COMMAND.LINK_CREATE, attributes, attributes.length, "attach", "BPF program");
}

const INSTRUCTION_BYTES = 8;

/** One instruction (linux/bpf.h, struct bpf_insn). */
export function instruction(
  code: number,
  fields: { readonly to?: number; readonly from?: number; readonly offset?: number; readonly value?: number },
): Buffer {
  const { to = 0, from = 0, offset = 0, value = 0 } = fields;
  const bytes = Buffer.alloc(INSTRUCTION_BYTES);
  bytes.writeUInt8(code, 0);
  bytes.writeUInt8(to | (from << 4), 1);
  bytes.writeInt16LE(offset, 2);
  bytes.writeInt32LE(value, 4);
  return bytes;
}

function words(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function call(command: number, attributes: unknown, size: number, operation: string, object: string): number {
  return check(Number(libc.bpf(BPF, command, attributes, size)), operation, object, HINT);
}
