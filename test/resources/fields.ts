/** Paths of all numbers in a JSON value that are not 0: "memory.usage.limit"; of lists, whatever the index. */
export function numbersIn(value: unknown, path = ""): Set<string> {
  if (Array.isArray(value)) return new Set(value.flatMap((one) => [...numbersIn(one, `${path}[]`)]));
  if (typeof value === "object" && value !== null) {
    return new Set(
      Object.entries(value).flatMap(([key, one]) => [
        ...numbersIn(one, path === "" ? key : `${path}.${key}`),
      ]),
    );
  }
  const number = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  return new Set(typeof number === "number" && number !== 0 ? [path] : []);
}
