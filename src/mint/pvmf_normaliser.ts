/**
 * log Z(μ, κ) = log ∫ exp(κ cos(ΘΘᵀ, μμᵀ)) dΘ over M unit vectors. It has no closed form: it is
 * estimated by importance sampling about Laplace's approximation, with a standard error; both are
 * kept, because the approximation alone can be wrong by many nats (docs/method.md section 2).
 */
import { RandomStream, Stream } from "../math/random.ts";
import { logSumExp } from "../math/special.ts";
import type { MintModel, Normalisers } from "./model.ts";
import { PvmfChart } from "./pvmf_chart.ts";
import { drawVmf, logVmfConstant } from "./von_mises_fisher.ts";

export interface NormaliserEstimate {
  readonly logZ: number;
  /** Standard error of log Z. */
  readonly error: number;
  /** ESS of the estimate, a fraction. */
  readonly ess: number;
  /** Laplace's approximation, NaN where it does not exist. */
  readonly laplace: number;
  /** ∂log Z/∂μ (M·n, tangential) and ∂log Z/∂log κ. */
  readonly slopes: Float64Array;
}

/** The estimate is a function of μ and κ alone, the same wherever it is made. */
const SEED = 0;

/** The proposal: the Laplace Gaussian, a wider one, and von Mises-Fisher, bounded from below. */
const SHARES = [0.75, 0.15, 0.1];
const WIDER = 1.6;

/** @param mu unit rows (M, n) */
export function estimateNormaliser(
  mu: Float64Array,
  kappa: number,
  n: 2 | 3,
  samples: number,
): NormaliserEstimate {
  const chart = new PvmfChart(mu, kappa, n);
  const { size, root } = chart;
  const m = mu.length / n;
  const z = new Float64Array(size);
  const u = new Float64Array(size);
  const theta = new Float64Array(m * n);
  const inverse = invert(root, size);
  const logGaussian = -0.5 * size * Math.log(2 * Math.PI) - chart.logRoot;
  const concentration = Math.min(100, Math.max(0.5, 0.5 * chart.leastPrecision));
  const logVmf = m * logVmfConstant(concentration, n);
  const logWeights = new Float64Array(samples);
  const cosines = new Float64Array(samples);
  const byMu = new Float64Array(samples * m * n);
  for (let s = 0; s < samples; s++) {
    const random = new RandomStream(SEED, Stream.normaliser, s);
    const pick = random.uniform();
    if (pick < SHARES[0] + SHARES[1]) {
      const width = pick < SHARES[0] ? 1 : WIDER;
      for (let i = 0; i < size; i++) z[i] = width * random.normal();
      multiply(root, z, u);
    } else {
      for (let j = 0; j < m; j++) drawVmf(random, mu, j * n, concentration, n, theta);
      chart.coordinates(theta, u);
      multiply(inverse, u, z);
    }
    const logTarget = chart.logTarget(u, theta);
    const logVolume = chart.directions(u, theta);
    let square = 0;
    for (let i = 0; i < size; i++) square += z[i] * z[i];
    let cosine = 0;
    for (let i = 0; i < m * n; i++) cosine += mu[i] * theta[i];
    logWeights[s] = logTarget - logSumExp([
      Math.log(SHARES[0]) + logGaussian - 0.5 * square,
      Math.log(SHARES[1]) + logGaussian - size * Math.log(WIDER) - 0.5 * square / WIDER ** 2,
      Math.log(SHARES[2]) + logVmf + concentration * cosine + logVolume,
    ]);
    cosines[s] = chart.cosine(theta, undefined, byMu.subarray(s * m * n, (s + 1) * m * n));
  }
  const total = logSumExp(logWeights);
  let squares = 0;
  const slopes = new Float64Array(m * n + 1);
  for (let s = 0; s < samples; s++) {
    const share = Math.exp(logWeights[s] - total);
    squares += share * share;
    for (let i = 0; i < m * n; i++) slopes[i] += share * kappa * byMu[s * m * n + i];
    slopes[m * n] += share * kappa * cosines[s];
  }
  tangential(slopes, mu, n);
  return {
    logZ: kappa + total - Math.log(samples),
    error: Math.sqrt(Math.max(0, squares - 1 / samples)),
    ess: 1 / (squares * samples),
    laplace: chart.laplace,
    slopes,
  };
}

/** The model with the normalisers of its components; `samples` for each of them. */
export function withNormalisers(model: MintModel, samples: number): MintModel {
  const { components: K, particles, dimension: n, parameters } = model;
  const m = particles - 1;
  const size = parameters.length / K;
  const [logZ, error, ess, laplace] = [0, 1, 2, 3].map(() => new Float64Array(K));
  const slopes = new Float64Array(K * (m * n + 1));
  for (let k = 0; k < K; k++) {
    const own = parameters.subarray(k * size + 1, (k + 1) * size);
    const found = estimateNormaliser(
      unitRows(own, m, n),
      Math.exp(own[own.length - 1]),
      n,
      samples,
    );
    logZ[k] = found.logZ;
    error[k] = found.error;
    ess[k] = found.ess;
    laplace[k] = found.laplace;
    slopes.set(found.slopes, k * (m * n + 1));
  }
  return { ...model, normalisers: { logZ, error, ess, laplace, slopes } satisfies Normalisers };
}

/** Samples of a normaliser where a model brings none. */
export const NORMALISER_SAMPLES = 4096;

/** The model's normalisers, estimated where it brings none. */
export function normalisersOf(model: MintModel): Normalisers {
  return model.normalisers ?? withNormalisers(model, NORMALISER_SAMPLES).normalisers!;
}

/** The first M rows of n numbers, at unit length. */
export function unitRows(rows: Float64Array, m: number, n: number): Float64Array {
  const unit = rows.slice(0, m * n);
  for (let i = 0; i < m * n; i += n) {
    const norm = Math.hypot(...unit.subarray(i, i + n));
    for (let d = 0; d < n; d++) unit[i + d] /= norm;
  }
  return unit;
}

/** Removes from each of the first M rows its part along the unit row of `mu`. */
export function tangential(rows: Float64Array, mu: Float64Array, n: number): void {
  for (let i = 0; i < mu.length; i += n) {
    let along = 0;
    for (let d = 0; d < n; d++) along += rows[i + d] * mu[i + d];
    for (let d = 0; d < n; d++) rows[i + d] -= along * mu[i + d];
  }
}

export function multiply(matrix: Float64Array, x: Float64Array, out: Float64Array): void {
  const size = x.length;
  for (let i = 0; i < size; i++) {
    let sum = 0;
    for (let j = 0; j < size; j++) sum += matrix[i * size + j] * x[j];
    out[i] = sum;
  }
}

/** Inverse of a symmetric positive definite matrix, by Gauss-Jordan elimination. */
function invert(matrix: Float64Array, size: number): Float64Array {
  const a = matrix.slice();
  const inverse = new Float64Array(size * size);
  for (let i = 0; i < size; i++) inverse[i * size + i] = 1;
  for (let p = 0; p < size; p++) {
    const pivot = a[p * size + p];
    for (let j = 0; j < size; j++) {
      a[p * size + j] /= pivot;
      inverse[p * size + j] /= pivot;
    }
    for (let i = 0; i < size; i++) {
      if (i === p) continue;
      const factor = a[i * size + p];
      for (let j = 0; j < size; j++) {
        a[i * size + j] -= factor * a[p * size + j];
        inverse[i * size + j] -= factor * inverse[p * size + j];
      }
    }
  }
  return inverse;
}
