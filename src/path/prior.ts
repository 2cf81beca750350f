/** The Gaussian prior of pair paths, N(0, s₂) on the centre-of-mass-free subspace. */
import { normals, Stream, streamKey } from "../math/random.ts";
import { logBroadDensity } from "../mint/broad.ts";

/** log q in the anchored measure; translation does not matter. */
export function logGaussianPrior(
  positions: Float64Array | Float32Array,
  offset: number,
  particles: number,
  dimension: 2 | 3,
  variance: number,
): number {
  return logBroadDensity(positions, offset, particles, dimension, Math.sqrt(variance));
}

/**
 * Draws first … first + count − 1 with the centre of mass at the origin, rounded to float32 values:
 * (count, N, n). Draw s is a function of (seed, s) alone.
 */
export function drawGaussianPrior(
  seed: number,
  first: number,
  count: number,
  particles: number,
  dimension: 2 | 3,
  variance: number,
): Float64Array {
  const size = particles * dimension;
  const key = streamKey(seed, Stream.prior);
  const scale = Math.sqrt(variance);
  const out = new Float64Array(count * size);
  for (let s = 0; s < count; s++) {
    const x = out.subarray(s * size, (s + 1) * size);
    normals(x, key, first + s, 0);
    for (let a = 0; a < dimension; a++) {
      let mean = 0;
      for (let i = a; i < size; i += dimension) mean += x[i] / particles;
      for (let i = a; i < size; i += dimension) x[i] = Math.fround(scale * (x[i] - mean));
    }
  }
  return out;
}
