import type { Deadline } from "../deadline.ts";
import { afOf, familyOf, formatIp, parseCidr } from "./address-text.ts";
import {
  type Attributes,
  attribute,
  attributeText,
  attributeU8,
  attributeU32,
  decodeAttributes,
} from "./attribute.ts";
import { NLM_F, RTM } from "./message.ts";
import { FR_ACT, type NumberRange, type Rule } from "./records.ts";
import type { RouteSocket } from "./socket.ts";

/** Bytes of struct fib_rule_hdr, and its attributes (linux/fib_rules.h). */
const HEADER = 12;
const FRA = {
  DST: 1,
  SRC: 2,
  IIFNAME: 3,
  GOTO: 4,
  PRIORITY: 6,
  FWMARK: 10,
  SUPPRESS_PREFIXLEN: 14,
  TABLE: 15,
  FWMASK: 16,
  OIFNAME: 17,
  UID_RANGE: 20,
  PROTOCOL: 21,
  IP_PROTO: 22,
  SPORT_RANGE: 23,
  DPORT_RANGE: 24,
} as const;
const FIB_RULE_INVERT = 2;
const ALL_ONES = 0xffff_ffff;

/** The policy rules of both families, IPv4's first, in the order in which the kernel asks them. A kernel without them lists none. */
export async function listRules(socket: RouteSocket, deadline: Deadline): Promise<Rule[]> {
  const request = { type: RTM.GETRULE, payload: Buffer.alloc(HEADER), operation: "list", object: "rules" };
  const replies = await socket.dump(request, deadline);
  const rules = replies.map(({ payload }) => decodeRule(payload)).filter((rule) => rule !== undefined);
  return rules.sort((one, other) => one.family - other.family);
}

/** Adds a rule; EEXIST when exactly this one is there. */
export async function addRule(socket: RouteSocket, rule: Rule, deadline: Deadline): Promise<void> {
  await change(socket, "add", RTM.NEWRULE, NLM_F.CREATE | NLM_F.EXCL, rule, deadline);
}

/** Deletes exactly this rule; ENOENT when it is not there. */
export async function deleteRule(socket: RouteSocket, rule: Rule, deadline: Deadline): Promise<void> {
  await change(socket, "delete", RTM.DELRULE, 0, rule, deadline);
}

async function change(
  socket: RouteSocket,
  operation: string,
  type: number,
  flags: number,
  rule: Rule,
  deadline: Deadline,
): Promise<void> {
  const object = `IPv${rule.family} rule ${rule.priority} from ${rule.source || "all"} table ${rule.table}`;
  await socket.request({ type, flags, payload: encodeRule(rule), operation, object }, deadline);
}

/** fib_rule_hdr with its attributes. */
export function encodeRule(rule: Rule): Buffer {
  const source = rule.source === "" ? undefined : parseCidr(rule.source);
  const destination = rule.destination === "" ? undefined : parseCidr(rule.destination);
  const header = Buffer.alloc(HEADER);
  header.writeUInt8(afOf(rule.family), 0);
  header.writeUInt8(destination?.prefixLength ?? 0, 1);
  header.writeUInt8(source?.prefixLength ?? 0, 2);
  header.writeUInt8(rule.tos, 3);
  header.writeUInt8(rule.action, 7);
  header.writeUInt32LE(rule.invert ? FIB_RULE_INVERT : 0, 8);
  const parts = [header, attributeU32(FRA.PRIORITY, rule.priority)];
  if (rule.table !== 0) parts.push(attributeU32(FRA.TABLE, rule.table));
  if (destination !== undefined && destination.prefixLength > 0)
    parts.push(attribute(FRA.DST, destination.bytes));
  if (source !== undefined && source.prefixLength > 0) parts.push(attribute(FRA.SRC, source.bytes));
  if (rule.inputInterface !== "") parts.push(attributeText(FRA.IIFNAME, rule.inputInterface));
  if (rule.outputInterface !== "") parts.push(attributeText(FRA.OIFNAME, rule.outputInterface));
  if (rule.action === FR_ACT.GOTO) parts.push(attributeU32(FRA.GOTO, rule.gotoPriority));
  if (rule.mark !== 0 || rule.markMask !== 0) {
    parts.push(attributeU32(FRA.FWMARK, rule.mark), attributeU32(FRA.FWMASK, rule.markMask));
  }
  if (rule.suppressPrefixLength !== undefined)
    parts.push(attributeU32(FRA.SUPPRESS_PREFIXLEN, rule.suppressPrefixLength));
  if (rule.uids !== undefined) parts.push(attribute(FRA.UID_RANGE, uids(rule.uids)));
  if (rule.ipProtocol !== 0) parts.push(attributeU8(FRA.IP_PROTO, rule.ipProtocol));
  if (rule.sourcePorts !== undefined) parts.push(attribute(FRA.SPORT_RANGE, ports(rule.sourcePorts)));
  if (rule.destinationPorts !== undefined)
    parts.push(attribute(FRA.DPORT_RANGE, ports(rule.destinationPorts)));
  parts.push(attributeU8(FRA.PROTOCOL, rule.protocol));
  return Buffer.concat(parts);
}

/** Undefined for what is neither IPv4 nor IPv6 (multicast routing has rules too). */
export function decodeRule(payload: Buffer): Rule | undefined {
  const family = payload.length < HEADER ? undefined : familyOf(payload.readUInt8(0));
  if (family === undefined) return undefined;
  const attributes = decodeAttributes(payload, HEADER);
  const suppressed = attributes.u32(FRA.SUPPRESS_PREFIXLEN);
  const uidRange = attributes.get(FRA.UID_RANGE);
  return {
    family,
    priority: attributes.u32(FRA.PRIORITY) ?? 0,
    source: prefixOf(attributes.get(FRA.SRC), payload.readUInt8(2)),
    destination: prefixOf(attributes.get(FRA.DST), payload.readUInt8(1)),
    tos: payload.readUInt8(3),
    table: attributes.u32(FRA.TABLE) ?? payload.readUInt8(4),
    action: payload.readUInt8(7),
    mark: attributes.u32(FRA.FWMARK) ?? 0,
    markMask: attributes.u32(FRA.FWMASK) ?? 0,
    inputInterface: attributes.text(FRA.IIFNAME) ?? "",
    outputInterface: attributes.text(FRA.OIFNAME) ?? "",
    invert: (payload.readUInt32LE(8) & FIB_RULE_INVERT) !== 0,
    suppressPrefixLength: suppressed === ALL_ONES ? undefined : suppressed,
    gotoPriority: attributes.u32(FRA.GOTO) ?? 0,
    uids:
      uidRange === undefined || uidRange.length < 8
        ? undefined
        : { start: uidRange.readUInt32LE(0), end: uidRange.readUInt32LE(4) },
    ipProtocol: attributes.u8(FRA.IP_PROTO) ?? 0,
    sourcePorts: portsOf(attributes, FRA.SPORT_RANGE),
    destinationPorts: portsOf(attributes, FRA.DPORT_RANGE),
    protocol: attributes.u8(FRA.PROTOCOL) ?? 0,
  };
}

function prefixOf(bytes: Buffer | undefined, prefixLength: number): string {
  return bytes === undefined ? "" : `${formatIp(bytes)}/${prefixLength}`;
}

function uids({ start, end }: NumberRange): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(start, 0);
  bytes.writeUInt32LE(end, 4);
  return bytes;
}

/** struct fib_rule_port_range: in the host's order. */
function ports({ start, end }: NumberRange): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16LE(start, 0);
  bytes.writeUInt16LE(end, 2);
  return bytes;
}

function portsOf(attributes: Attributes, type: number): NumberRange | undefined {
  const bytes = attributes.get(type);
  if (bytes === undefined || bytes.length < 4) return undefined;
  return { start: bytes.readUInt16LE(0), end: bytes.readUInt16LE(2) };
}
