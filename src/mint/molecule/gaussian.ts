/** Normal densities in internal coordinates, and their images under rotors' relabellings. */
import { cholesky } from "../../math/linear.ts";
import type { RandomStream } from "../../math/random.ts";
import { symmetricEigen } from "../../math/symmetric_eigen.ts";
import type { ZMatrix } from "../../systems/molecule/zmatrix.ts";

const LOG_TWO_PI = Math.log(2 * Math.PI);

/** N(0, w² L Lᵀ) of n coordinates. */
export interface Gaussian {
  readonly lower: Float64Array;
  /** w. */
  readonly widening: number;
  /** −log det wL − ½ n log 2π. */
  readonly logNorm: number;
}

/** Throws RangeError when the covariance (n·n) is not positive definite. */
export function gaussian(covariance: Float64Array, n: number, widening = 1): Gaussian {
  const lower = cholesky(covariance, n);
  let logNorm = -0.5 * n * LOG_TWO_PI;
  for (let i = 0; i < n; i++) logNorm -= Math.log(lower[i * n + i]);
  return widened({ lower, widening: 1, logNorm }, widening);
}

/** The same density `factor` times as wide in all directions; matrices are shared. */
export function widened(normal: Gaussian, factor: number): Gaussian {
  const n = Math.sqrt(normal.lower.length);
  return {
    ...normal,
    widening: normal.widening * factor,
    logNorm: normal.logNorm - n * Math.log(factor),
  };
}

/** d ← w L ε, ε standard normal. */
export function drawGaussian(
  { lower, widening }: Gaussian,
  random: RandomStream,
  d: Float64Array,
): void {
  const n = d.length;
  const noise = Float64Array.from(d, () => random.normal());
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let j = 0; j <= i; j++) sum += lower[i * n + j] * noise[j];
    d[i] = widening * sum;
  }
}

/**
 * Inverse of a Hessian (n·n), its eigenvalues in units of the scales' floored: flat and falling
 * directions get a width of scale/√floor.
 */
export function flooredInverse(
  hessian: Float64Array,
  scales: Float64Array,
  floor: number,
): Float64Array {
  const n = scales.length;
  const scaled = hessian.map((v, at) => v * scales[Math.floor(at / n)] * scales[at % n]);
  const { values, vectors } = symmetricEigen(scaled, n);
  const inverse = new Float64Array(n * n);
  for (let k = 0; k < n; k++) {
    const share = 1 / Math.max(values[k], floor);
    for (let i = 0; i < n; i++) {
      const left = share * vectors[i * n + k];
      for (let j = 0; j < n; j++) inverse[i * n + j] += left * vectors[j * n + k];
    }
  }
  return inverse.map((v, at) => v * scales[Math.floor(at / n)] * scales[at % n]);
}

/** Every z reached by relabelling rotors, in a fixed order; the first is z itself. */
export function images(coordinates: ZMatrix, z: Float64Array): Float64Array[] {
  let all = [z];
  coordinates.rotors.forEach(({ rows }, r) => {
    all = all.flatMap((image) =>
      rows.map((_, steps) => {
        if (steps === 0) return image;
        const copy = image.slice();
        coordinates.relabel(copy, r, steps);
        return copy;
      })
    );
  });
  return all;
}

/** One of the images at random, in place. */
export function relabelAtRandom(coordinates: ZMatrix, z: Float64Array, random: RandomStream): void {
  coordinates.rotors.forEach(({ rows }, r) => {
    coordinates.relabel(
      z,
      r,
      Math.min(rows.length - 1, Math.floor(random.uniform() * rows.length)),
    );
  });
}

/**
 * A density of molecules in internal coordinates, exactly normalised over the domain and all
 * relabellings of the rotors but for what its draws lose there.
 */
export interface InternalDensity {
  /**
   * A draw, or null for one that left the domain or went round a dihedral by more than half a turn:
   * it counts as a sample of weight zero, which is what makes the density below exact.
   */
  draw(random: RandomStream): Float64Array | null;
  /** log q(z). */
  logDensity(z: Float64Array): number;
  /** Covariance within a basin (n·n), averaged over basins: what moves are scaled by. */
  localCovariance(): Float64Array;
}

/** sum += factor · w² L Lᵀ, rows and columns at `places` of an n·n matrix. */
export function addCovariance(
  { lower, widening }: Gaussian,
  factor: number,
  places: readonly number[],
  sum: Float64Array,
  n: number,
): void {
  const m = places.length;
  const scale = factor * widening ** 2;
  for (let i = 0; i < m; i++) {
    for (let j = 0; j <= i; j++) {
      let value = 0;
      for (let k = 0; k <= j; k++) value += lower[i * m + k] * lower[j * m + k];
      sum[places[i] * n + places[j]] += scale * value;
      if (i !== j) sum[places[j] * n + places[i]] += scale * value;
    }
  }
}
