/** Packs orbit Gaussian components for shaders/common/orbit_gaussian.wgsl. */
import type { GaussianConfig } from "../../config/config.ts";
import { createNoise } from "../../mint/gaussian_noise.ts";
import { precisionMatrix } from "../wasm/orbit_gaussian.ts";

/** Numbers of a component. */
export function gaussianStride(particles: number, n: 2 | 3): number {
  return 4 + (particles - 1) * (particles + n);
}

/**
 * Constant and three unused numbers; Z, (N − 1, N), upper triangular but for the anchor's column, with
 * Zᵀ Z the precision matrix of positions relative to the anchor; a = Z·mean, (N − 1, n).
 *
 * @param parameters of one component, the logit first
 */
export function packOrbitGaussian(
  parameters: Float64Array,
  particles: number,
  n: 2 | 3,
  { mean, covariance }: GaussianConfig,
  logWeight: number,
): Float64Array {
  const m = particles - 1;
  const means = mean === "zero" ? 0 : m * n;
  const rows = parameters.subarray(1, 1 + means);
  const noise = parameters.subarray(1 + means);
  const out = new Float64Array(gaussianStride(particles, n));
  out[0] = logWeight + createNoise(covariance, noise, particles, n).logConstant;
  const factor = choleskyFactor(precisionMatrix(covariance, noise, particles), m);
  for (let i = 0; i < m; i++) {
    const row = 4 + i * particles;
    for (let j = i; j < m; j++) {
      const z = factor[j * m + i];
      out[row + 1 + j] = z;
      out[row] -= z;
      for (let d = 0; d < n && means > 0; d++) {
        out[4 + m * particles + i * n + d] += z * rows[j * n + d];
      }
    }
  }
  return out;
}

/** L with L Lᵀ the given matrix (M, M), symmetric and positive. */
function choleskyFactor(matrix: Float64Array, m: number): Float64Array {
  const out = new Float64Array(m * m);
  for (let j = 0; j < m; j++) {
    for (let k = 0; k <= j; k++) {
      let value = matrix[j * m + k];
      for (let i = 0; i < k; i++) value -= out[j * m + i] * out[k * m + i];
      out[j * m + k] = j === k ? Math.sqrt(value) : value / out[k * m + k];
    }
  }
  return out;
}
