/** Rise of the line that lies closest to `values` (least squares), per step. */
export function slopeOf(values: readonly number[]): number {
  const count = values.length;
  const middle = (count - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const [over, under] = values.reduce(
    ([above, below], value, index) => [
      above + (index - middle) * (value - mean),
      below + (index - middle) ** 2,
    ],
    [0, 0] as [number, number],
  );
  return under === 0 ? 0 : over / under;
}
