/** Two texts in two columns, each as wide as its longest line. Pure. */
export function sideBySide(left: readonly string[], right: readonly string[], between: string): string {
  const width = Math.max(0, ...left.map((line) => line.length));
  const count = Math.max(left.length, right.length);
  return Array.from({ length: count }, (_, row) =>
    `${(left[row] ?? "").padEnd(width)}${between}${right[row] ?? ""}`.trimEnd().concat("\n"),
  ).join("");
}
