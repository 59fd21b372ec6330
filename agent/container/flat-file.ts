/** Files of cgroup v2 and /proc that hold "key value" lines (cgroup-v2.rst, "flat keyed"). */
export function parseFlat(text: string): Map<string, bigint> {
  const values = new Map<string, bigint>();
  for (const line of text.split("\n")) {
    const [key, value] = line.split(" ");
    if (key !== undefined && value !== undefined && /^\d+$/.test(value)) values.set(key, BigInt(value));
  }
  return values;
}

/** "nested keyed": a device or name, then key=value pairs. */
export function parseNested(text: string): Map<string, Map<string, bigint>> {
  const lines = new Map<string, Map<string, bigint>>();
  for (const line of text.split("\n")) {
    const [name, ...pairs] = line.trim().split(/\s+/);
    if (name === undefined || name === "") continue;
    const values = pairs.map((pair) => pair.split("=")).filter(([, value]) => /^\d+$/.test(value ?? ""));
    lines.set(name, new Map(values.map(([key = "", value = "0"]) => [key, BigInt(value)])));
  }
  return lines;
}

export const NO_LIMIT = 2n ** 64n - 1n;

/** "max" is no limit. */
export function parseLimit(text: string): bigint {
  const trimmed = text.trim();
  return /^\d+$/.test(trimmed) ? BigInt(trimmed) : NO_LIMIT;
}
