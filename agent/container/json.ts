/** ES2025 (JSON.parse source text access), which TypeScript's es2024 library does not know yet. */
interface ExactJson {
  parse(
    text: string,
    reviver: (this: unknown, key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): unknown;
}

const json: ExactJson = JSON as unknown as ExactJson;

/**
 * JSON.parse for what Go programs write. Integers that need 64 bits, as RLIM_INFINITY does, become values that
 * JSON.stringify writes as they were, and that are no numbers to calculate with. A field that is null is left out: so
 * Go writes what is empty. Throws SyntaxError.
 */
export function parseExact(text: string): unknown {
  return json.parse(text, function (_, value, { source }) {
    if (value === null) return Array.isArray(this) ? null : undefined;
    const large = typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(source ?? "");
    return large && source !== undefined ? json.rawJSON(source) : value;
  });
}
