import { TapirError } from "../sys/error.ts";
import { familyOfText, parseCidr, parseIp } from "../sys/netlink/address-text.ts";
import { Code } from "../sys/status.ts";

// What a check of the host's input is made of. Each throws INVALID_ARGUMENT, with the value quoted and cut.

export function refusePrefix(what: string, text: string, family: number): void {
  const { bytes, prefixLength } = parsed(what, text, () => parseCidr(text));
  when(!text.includes("/"), what, text, "it has no prefix length");
  when(bytes.length !== (family === 4 ? 4 : 16), what, text, `it is not IPv${family}`);
  when(hasHostBits(bytes, prefixLength), what, text, "it has bits behind its prefix");
}

export function refuseIp(what: string, text: string): 4 | 6 {
  parsed(what, text, () => parseIp(text));
  return familyOfText(text);
}

function hasHostBits(bytes: Buffer, prefixLength: number): boolean {
  return bytes.some((byte, at) => (byte & (0xff >> Math.min(8, Math.max(0, prefixLength - at * 8)))) !== 0);
}

function parsed<T>(what: string, text: string, parse: () => T): T {
  try {
    return parse();
  } catch {
    throw refusal(what, text, "it is no address");
  }
}

export function repeated(what: string, names: readonly string[]): void {
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw refusal(what, twice, "it is there twice");
}

export function tooMany(what: string, list: readonly unknown[], limit: number): void {
  if (list.length > limit) throw refusal(what, String(list.length), `at most ${limit}`);
}

export function outside<N extends number | bigint>(what: string, value: N, range: { min: N; max: N }): void {
  if (value < range.min || value > range.max)
    throw refusal(what, String(value), `${range.min} to ${range.max}`);
}

export function when(wrong: boolean, what: string, value: string, cause: string): void {
  if (wrong) throw refusal(what, value, cause);
}

export function refusal(what: string, value: string, cause: string): TapirError {
  // Quoted and cut: the value goes back to the host and into its log.
  const object = `${what} ${JSON.stringify(value.slice(0, 64))}`;
  return new TapirError({ code: Code.INVALID_ARGUMENT, operation: "accept", object, cause });
}
