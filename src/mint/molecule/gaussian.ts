/** Normal densities in internal coordinates, and their images under rotors' relabellings. */
import { cholesky, invertLower, symmetricEigen } from "../../math/linear.ts";
import type { RandomStream } from "../../math/random.ts";
import { wrap, type ZMatrix } from "../../systems/molecule/zmatrix.ts";

const LOG_TWO_PI = Math.log(2 * Math.PI);

/** N(0, L Lᵀ) of n coordinates. */
export interface Gaussian {
  readonly lower: Float64Array;
  readonly inverse: Float64Array;
  /** −log det L − ½ n log 2π. */
  readonly logNorm: number;
}

/** Throws RangeError when the covariance (n·n) is not positive definite. */
export function gaussian(covariance: Float64Array, n: number): Gaussian {
  const lower = cholesky(covariance, n);
  let logNorm = -0.5 * n * LOG_TWO_PI;
  for (let i = 0; i < n; i++) logNorm -= Math.log(lower[i * n + i]);
  return { lower, inverse: invertLower(lower, n), logNorm };
}

/** log density at displacement d. */
export function logGaussian({ inverse, logNorm }: Gaussian, d: Float64Array): number {
  const n = d.length;
  let squares = 0;
  for (let i = 0, at = 0; i < n; i++, at += n) {
    let y = 0;
    for (let j = 0; j <= i; j++) y += inverse[at + j] * d[j];
    squares += y * y;
  }
  return logNorm - 0.5 * squares;
}

/** d ← L ε, ε standard normal. */
export function drawGaussian({ lower }: Gaussian, random: RandomStream, d: Float64Array): void {
  const n = d.length;
  const noise = Float64Array.from(d, () => random.normal());
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let j = 0; j <= i; j++) sum += lower[i * n + j] * noise[j];
    d[i] = sum;
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
      const left = share * vectors[k * n + i];
      for (let j = 0; j < n; j++) inverse[i * n + j] += left * vectors[k * n + j];
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
 * z − mean, dihedrals by the shorter way round. `first` is the place of the first dihedral in z: 2N − 3.
 */
export function displacement(
  z: Float64Array,
  mean: Float64Array,
  first: number,
  out: Float64Array,
): void {
  for (let k = 0; k < z.length; k++) {
    const d = z[k] - mean[k];
    out[k] = k < first || Math.abs(d) <= Math.PI ? d : wrap(d);
  }
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
}
