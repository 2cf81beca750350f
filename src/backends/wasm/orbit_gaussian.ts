/**
 * Packs Gaussian components, and takes the kernel's sums to their parameters; see
 * assembly/orbit_gaussian.ts. Kernels know a labelled component by the precision matrix P of its
 * noise and by B = P·mean, both (N − 1) rows, whatever its covariance is.
 */
import type { GaussianConfig } from "../../config/config.ts";
import { createNoise } from "../../mint/gaussian_noise.ts";
import type { MintModel } from "../../mint/model.ts";
import type { ComponentPacking } from "./mint_prior.ts";

/** Components of mean zero and one scale; also a prior that is its broad part alone. */
export function scalesPacking(model: MintModel): ComponentPacking {
  const { particles, dimension: n, parameters } = model;
  const logScale = (k: number) => parameters[2 * k + 1];
  return {
    kind: 3,
    bytes: 8,
    write(memory, address, k, logWeight) {
      const noise = createNoise("scale", Float64Array.of(logScale(k)), particles, n);
      memory.f32(address, 2).set([logWeight + noise.logConstant, Math.exp(-2 * logScale(k))]);
    },
    statistics: 2,
    toParameters([weight, minusHalfSquare], k, gradient) {
      // −½ r²/s² − (N − 1) n log s.
      gradient[0] = -2 * minusHalfSquare * Math.exp(-2 * logScale(k)) -
        weight * (particles - 1) * n;
    },
  };
}

export function gaussianPacking(model: MintModel): ComponentPacking {
  const { particles, dimension: n, components, parameters } = model;
  const { mean, covariance } = model.gaussian!;
  const m = particles - 1;
  const size = parameters.length / components;
  const means = mean === "zero" ? 0 : m * n;
  const own = (k: number) => parameters.subarray(k * size + 1, (k + 1) * size);
  const meanOf = (k: number) => {
    const rows = new Float64Array(m * n);
    rows.set(own(k).subarray(0, means));
    return rows;
  };
  return {
    kind: 1,
    bytes: 16 + 16 * (n === 3 ? Math.ceil(m * (m + 3) / 2) : Math.ceil(m * (m + 4) / 4)),
    write(memory, address, k, logWeight) {
      const noise = own(k).subarray(means);
      const rows = meanOf(k);
      const precision = precisionMatrix(covariance, noise, particles);
      const scaled = product(precision, rows, m, n);
      let square = 0;
      for (let i = 0; i < rows.length; i++) square += rows[i] * scaled[i];
      const { logConstant } = createNoise(covariance, noise, particles, n);
      if (n === 2) {
        memory.f32(address, 1)[0] = logWeight + logConstant;
        const numbers = memory.f32(address + 16, m * (m + 4));
        numbers.set(precision);
        numbers.set(rows, m * m);
        numbers.set(scaled, m * (m + 2));
        return;
      }
      // Large where a component is sharp: the kernel takes it in f64, and in f32 for bounds.
      const constant = logWeight + logConstant - 0.5 * square;
      memory.f64(address, 1)[0] = constant;
      memory.f32(address + 8, 1)[0] = constant;
      memory.f64(address + 16, m * m).set(precision);
      memory.f64(address + 16 + 8 * m * m, m * n).set(scaled);
    },
    statistics: 1 + m * (m + 1) / 2 + m * n,
    toParameters(sums, k, gradient) {
      const noise = own(k).subarray(means);
      const rows = meanOf(k);
      const precision = precisionMatrix(covariance, noise, particles);
      const scaled = product(precision, rows, m, n);
      const weight = sums[0];
      const byScaled = sums.subarray(1 + m * (m + 1) / 2);
      // The whole derivative by P, symmetric: its own, that of B = P·mean, and −½ meanᵀ P mean.
      const byPrecision = new Float64Array(m * m);
      for (let j = 0, at = 1; j < m; j++) {
        for (let l = 0; l <= j; l++, at++) {
          let value = sums[at] * (l === j ? 1 : 0.5);
          for (let d = 0; d < n; d++) {
            const [a, b] = [rows[j * n + d], rows[l * n + d]];
            value += 0.5 * (byScaled[j * n + d] * b + byScaled[l * n + d] * a - weight * a * b);
          }
          byPrecision[j * m + l] = byPrecision[l * m + j] = value;
        }
      }
      const byMean = product(precision, byScaled, m, n);
      for (let i = 0; i < means; i++) gradient[i] = byMean[i] - weight * scaled[i];
      const out = gradient.subarray(means);
      createNoise(covariance, noise, particles, n).addConstantGradient(weight, out);
      addNoiseGradient(covariance, noise, particles, precision, byPrecision, out);
    },
  };
}

/** Precision of positions relative to the anchor, (M, M): the inverse of D + s₀²11ᵀ, or of LLᵀ. */
export function precisionMatrix(
  covariance: GaussianConfig["covariance"],
  noise: Float64Array,
  particles: number,
): Float64Array {
  const m = particles - 1;
  const out = new Float64Array(m * m);
  if (covariance === "full") {
    const inverse = inverseFactor(noise, m);
    for (let j = 0; j < m; j++) {
      for (let k = 0; k < m; k++) {
        for (let i = Math.max(j, k); i < m; i++) {
          out[j * m + k] += inverse[i * m + j] * inverse[i * m + k];
        }
      }
    }
    return out;
  }
  const { single, total } = singlePrecisions(noise, particles);
  for (let j = 0; j < m; j++) {
    for (let k = 0; k < m; k++) {
      out[j * m + k] = (j === k ? single[j + 1] : 0) - single[j + 1] * single[k + 1] / total;
    }
  }
  return out;
}

/** 1/s_i² of all particles and their sum. */
function singlePrecisions(noise: Float64Array, particles: number) {
  const single = Float64Array.from(
    { length: particles },
    (_, i) => Math.exp(-2 * noise[noise.length === 1 ? 0 : i]),
  );
  return { single, total: single.reduce((sum, value) => sum + value, 0) };
}

/** L⁻¹, (M, M), of the factor in the parameters (rows of the lower triangle, log diagonal). */
function inverseFactor(noise: Float64Array, m: number): Float64Array {
  const out = new Float64Array(m * m);
  for (let j = 0, row = 0; j < m; row += ++j) {
    const diagonal = Math.exp(noise[row + j]);
    for (let k = 0; k <= j; k++) {
      let value = j === k ? 1 : 0;
      for (let i = k; i < j; i++) value -= noise[row + i] * out[i * m + k];
      out[j * m + k] = value / diagonal;
    }
  }
  return out;
}

/** Adds what derivatives by P (symmetric, every element by itself) come to for the noise. */
function addNoiseGradient(
  covariance: GaussianConfig["covariance"],
  noise: Float64Array,
  particles: number,
  precision: Float64Array,
  byPrecision: Float64Array,
  out: Float64Array,
): void {
  const m = particles - 1;
  if (covariance === "full") {
    // dP = −P (dL Lᵀ + L dLᵀ) P, so ∂/∂L = −2 P G P L = −2 P G L⁻ᵀ.
    const inverse = inverseFactor(noise, m);
    const right = new Float64Array(m * m);
    for (let j = 0; j < m; j++) {
      for (let k = 0; k < m; k++) {
        for (let i = 0; i <= k; i++) {
          right[j * m + k] += byPrecision[j * m + i] * inverse[k * m + i];
        }
      }
    }
    const byFactor = product(precision, right, m, m);
    for (let j = 0, at = 0; j < m; j++) {
      for (let k = 0; k <= j; k++, at++) {
        out[at] -= 2 * byFactor[j * m + k] * (j === k ? Math.exp(noise[at]) : 1);
      }
    }
    return;
  }
  // P_jk = A_j δ_jk − A_j A_k/T, A_i = 1/s_i², T = Σ A_i.
  const { single, total } = singlePrecisions(noise, particles);
  const along = product(byPrecision, single.subarray(1), m, 1);
  let both = 0;
  for (let j = 0; j < m; j++) both += along[j] * single[j + 1];
  for (let i = 0; i < particles; i++) {
    let byA = both / total ** 2;
    if (i > 0) byA += byPrecision[(i - 1) * (m + 1)] - 2 * along[i - 1] / total;
    out[noise.length === 1 ? 0 : i] -= 2 * single[i] * byA;
  }
}

/** matrix (M, M) times rows (M, n). */
function product(matrix: Float64Array, rows: Float64Array, m: number, n: number): Float64Array {
  const out = new Float64Array(m * n);
  for (let j = 0; j < m; j++) {
    for (let k = 0; k < m; k++) {
      for (let d = 0; d < n; d++) out[j * n + d] += matrix[j * m + k] * rows[k * n + d];
    }
  }
  return out;
}
