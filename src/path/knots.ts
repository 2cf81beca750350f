/**
 * Values at `at` (rising or not) of a function given by positive values at rising `places`, linear in
 * its logarithm between them and constant beyond.
 */
export function interpolateKnots(
  places: ArrayLike<number>,
  values: ArrayLike<number>,
  at: ArrayLike<number>,
): Float64Array {
  const last = places.length - 1;
  return Float64Array.from(at, (t) => {
    if (!(t > places[0])) return values[0];
    if (t >= places[last]) return values[last];
    let k = 0;
    while (places[k + 1] <= t) k++;
    const w = (t - places[k]) / (places[k + 1] - places[k]);
    return values[k] ** (1 - w) * values[k + 1] ** w;
  });
}
