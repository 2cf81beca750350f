/** The fitted pair drift in float64: the oracle of assembly/pair_velocity.ts. */

/**
 * v_i = Σ_{j≠i} g(|x_i − x_j|) (x_i − x_j) of one configuration (N, n); g linear between the nodes of
 * `table`, `width` apart, and constant beyond the last.
 */
export function pairVelocity(
  x: Float64Array,
  dimension: 2 | 3,
  table: ArrayLike<number>,
  width: number,
): Float64Array {
  const out = new Float64Array(x.length);
  const cells = table.length - 1;
  for (let i = 0; i < x.length; i += dimension) {
    for (let j = i + dimension; j < x.length; j += dimension) {
      let squared = 0;
      for (let a = 0; a < dimension; a++) squared += (x[i + a] - x[j + a]) ** 2;
      const place = Math.min(Math.sqrt(squared) / width, cells);
      const cell = Math.min(Math.floor(place), cells - 1);
      const g = Number.isNaN(place)
        ? NaN
        : table[cell] + (table[cell + 1] - table[cell]) * (place - cell);
      for (let a = 0; a < dimension; a++) {
        const v = g * (x[i + a] - x[j + a]);
        out[i + a] += v;
        out[j + a] -= v;
      }
    }
  }
  return out;
}
