/** Blocks of every jackknife estimate in this program, when there are that many samples. */
export const JACKKNIFE_BLOCKS = 100;

/**
 * Delete-one-block jackknife of a function of sums, over contiguous blocks of samples: blocks rather
 * than single samples, so that reference samples from a long trajectory, correlated over short
 * stretches, do not get too small an error. Blocks of unequal size are weighted as in Busing,
 * Meijer and van der Leeden (1999), "Delete-m jackknife for unequal m".
 *
 * @param columns arrays of length n; `estimate` sees the sum of each over the samples kept
 * @param estimate the statistic of (sums, number of samples kept)
 * @returns its value over all samples, and the standard error: NaN for fewer than two samples,
 * Infinity where the statistic is not finite without one of the blocks
 */
export function blockJackknife(
  columns: readonly Float64Array[],
  estimate: (sums: readonly number[], n: number) => number,
  blocks = JACKKNIFE_BLOCKS,
): { value: number; standardError: number } {
  const n = columns[0].length;
  const count = Math.min(blocks, n);
  const start = (b: number) => Math.floor(b * n / count);
  // Sums without block b are taken as (blocks before) + (blocks after): the difference total − block
  // would cancel where one block holds nearly all of the weight.
  const before = columns.map(() => new Float64Array(count + 1));
  const after = columns.map(() => new Float64Array(count + 1));
  columns.forEach((column, c) => {
    const sums = new Float64Array(count);
    for (let b = 0; b < count; b++) {
      for (let i = start(b); i < start(b + 1); i++) sums[b] += column[i];
    }
    for (let b = 0; b < count; b++) before[c][b + 1] = before[c][b] + sums[b];
    for (let b = count - 1; b >= 0; b--) after[c][b] = after[c][b + 1] + sums[b];
  });
  const value = estimate(before.map((sums) => sums[count]), n);
  if (count < 2) return { value, standardError: NaN };

  const without = new Float64Array(count);
  let centre = count * value;
  for (let b = 0; b < count; b++) {
    const size = start(b + 1) - start(b);
    without[b] = estimate(columns.map((_, c) => before[c][b] + after[c][b + 1]), n - size);
    centre -= (1 - size / n) * without[b];
  }
  let variance = 0;
  for (let b = 0; b < count; b++) {
    const h = n / (start(b + 1) - start(b));
    const pseudoValue = h * value - (h - 1) * without[b];
    variance += (pseudoValue - centre) ** 2 / (h - 1) / count;
  }
  return { value, standardError: Number.isFinite(variance) ? Math.sqrt(variance) : Infinity };
}
