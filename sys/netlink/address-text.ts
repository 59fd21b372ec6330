import { TapirError } from "../error.ts";
import { Code } from "../status.ts";
import type { Family } from "./records.ts";

/** AF_INET and AF_INET6 (linux/socket.h). */
const AF = { UNSPEC: 0, INET: 2, INET6: 10 } as const;

/** The record's family of an AF_*; undefined for every other protocol. */
export function familyOf(af: number): Family | undefined {
  if (af === AF.INET) return 4;
  return af === AF.INET6 ? 6 : undefined;
}

export function afOf(family: Family): number {
  return family === 4 ? AF.INET : AF.INET6;
}

export function familyOfText(text: string): Family {
  return text.includes(":") ? 6 : 4;
}

/** Four or sixteen bytes as text; IPv6 as RFC 5952 wants it. */
export function formatIp(bytes: Buffer): string {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  if (bytes.length !== 16) throw invalid(`${bytes.length} bytes`, "neither IPv4 nor IPv6");
  const groups: number[] = [];
  for (let at = 0; at < 16; at += 2) groups.push(((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0));
  const gap = longestZeroRun(groups);
  if (gap.start === 0 && gap.length === 5 && groups[5] === 0xffff) {
    return `::ffff:${formatIp(bytes.subarray(12))}`;
  }
  let text = "";
  for (let at = 0; at < 8; at += 1) {
    if (gap.length > 1 && at === gap.start) {
      text += "::";
      at += gap.length - 1;
      continue;
    }
    if (text !== "" && !text.endsWith("::")) text += ":";
    text += (groups[at] ?? 0).toString(16);
  }
  return text;
}

/** The first of the longest runs of zero groups. */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let [start, longest, length] = [0, 0, 0];
  for (let at = 0; at < groups.length; at += 1) {
    length = groups[at] === 0 ? length + 1 : 0;
    if (length > longest) [start, longest] = [at - length + 1, length];
  }
  return { start, length: longest };
}

/**
 * The bytes of an address; throws INVALID_ARGUMENT for anything else, zones ("%eth0") included. Read by hand: V8 takes four
 * milliseconds to compile the pattern of node:net's isIPv6, in each shim again.
 */
export function parseIp(text: string): Buffer {
  const bytes = text.includes(":") ? parseIpv6(text) : parseIpv4(text);
  if (bytes === undefined) throw invalid(text, "it is no IP address");
  return Buffer.from(bytes);
}

const ZERO = 48;
const DOT = 46;

/** Numbers as they are written without need: no leading zero, no sign, no exponent. Character by character: it is called much. */
function parseIpv4(text: string): number[] | undefined {
  const bytes: number[] = [];
  let value: number | undefined;
  for (let at = 0; at <= text.length; at += 1) {
    const code = at === text.length ? DOT : text.charCodeAt(at);
    if (code === DOT) {
      if (value === undefined) return undefined;
      bytes.push(value);
      value = undefined;
      continue;
    }
    const digit = code - ZERO;
    if (digit < 0 || digit > 9 || value === 0) return undefined;
    value = (value ?? 0) * 10 + digit;
    if (value > 255) return undefined;
  }
  return bytes.length === 4 ? bytes : undefined;
}

function parseIpv6(text: string): number[] | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [before, after] = halves.map((half, at) => parseGroups(half, at === halves.length - 1));
  if (before === undefined) return undefined;
  if (halves.length === 1) return before.length === 16 ? before : undefined;
  // The gap stands for one group at least.
  if (after === undefined || before.length + after.length > 14) return undefined;
  const gap: number[] = Array(16 - before.length - after.length).fill(0);
  return [...before, ...gap, ...after];
}

/** Only the very last group may be an IPv4 address. */
function parseGroups(text: string, last: boolean): number[] | undefined {
  if (text === "") return [];
  const groups = text.split(":");
  const bytes: number[] = [];
  for (const [at, group] of groups.entries()) {
    const four = last && at === groups.length - 1 && group.includes(".") ? parseIpv4(group) : undefined;
    const value = four === undefined ? hexOf(group) : 0;
    if (value === undefined) return undefined;
    bytes.push(...(four ?? [value >> 8, value & 0xff]));
  }
  return bytes;
}

const HEX = "0123456789abcdef";

/** One to four hexadecimal digits. */
function hexOf(text: string): number | undefined {
  if (text.length < 1 || text.length > 4) return undefined;
  let value = 0;
  for (const digit of text.toLowerCase()) {
    const place = HEX.indexOf(digit);
    if (place === -1) return undefined;
    value = value * 16 + place;
  }
  return value;
}

/** "10.0.0.0/8" as bytes and length. */
export function parseCidr(text: string): { bytes: Buffer; prefixLength: number } {
  const slash = text.indexOf("/");
  const bytes = parseIp(slash === -1 ? text : text.slice(0, slash));
  const bits = bytes.length * 8;
  const prefixLength = slash === -1 ? bits : Number(text.slice(slash + 1));
  if (!/^\d+$/.test(text.slice(slash + 1)) && slash !== -1) throw invalid(text, "its prefix is no number");
  if (prefixLength > bits) throw invalid(text, `its prefix is longer than ${bits}`);
  return { bytes, prefixLength };
}

/** Lower-case, colon-separated; "" for no bytes. */
export function formatMac(bytes: Buffer): string {
  const hex = bytes.toString("hex");
  let text = hex.slice(0, 2);
  for (let at = 2; at < hex.length; at += 2) text += `:${hex.slice(at, at + 2)}`;
  return text;
}

export function parseMac(text: string): Buffer {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2})*$/i.test(text)) throw invalid(text, "it is no link-layer address");
  return Buffer.from(text.replaceAll(":", ""), "hex");
}

function invalid(text: string, cause: string): TapirError {
  return new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "read",
    object: `address "${text}"`,
    cause,
  });
}

/** The network of an address in CIDR notation: "10.88.0.0/16". */
export function prefixText(address: string, prefixLength: number): string {
  const bytes = parseIp(address);
  const whole = prefixLength >> 3;
  if (whole < bytes.length) {
    bytes[whole] = (bytes[whole] ?? 0) & (0xff00 >> (prefixLength & 7));
    bytes.fill(0, whole + 1);
  }
  return `${formatIp(bytes)}/${prefixLength}`;
}
