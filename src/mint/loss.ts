/** The Mint loss: weighted maximum likelihood on own samples, and the repulsion of components. */
import { componentSize, familyOf } from "./families.ts";
import type { MintModel } from "./model.ts";

export interface TemperedWeights {
  /** softmax(exponent · log w); zero for weights that are NaN or −∞. */
  readonly weights: Float64Array;
  /** Largest exponent ≤ 1 whose weights reach the wanted ESS. */
  readonly exponent: number;
  /** ESS of the untempered weights, as a fraction of the batch. */
  readonly ess: number;
  /** log mean w: the batch's estimate of log Z. */
  readonly logZ: number;
}

/**
 * Weights of eq. 17, softmax(log p − log q), tempered while they are degenerate.
 *
 * @param target least fraction of the batch the ESS of the tempered weights must reach
 * @returns weights all zero and logZ −∞ where no log weight is finite
 */
export function temperedWeights(logWeights: Float64Array, target: number): TemperedWeights {
  const weights = new Float64Array(logWeights.length);
  let largest = -Infinity;
  for (const w of logWeights) if (w > largest) largest = w;
  if (!Number.isFinite(largest)) return { weights, exponent: 1, ess: 0, logZ: -Infinity };
  const evaluate = (exponent: number) => {
    let sum = 0;
    let squares = 0;
    for (let i = 0; i < weights.length; i++) {
      const w = Number.isNaN(logWeights[i]) ? 0 : Math.exp(exponent * (logWeights[i] - largest));
      weights[i] = w;
      sum += w;
      squares += w * w;
    }
    return { sum, ess: sum * sum / (squares * weights.length) };
  };
  const plain = evaluate(1);
  let exponent = 1;
  if (plain.ess < target) {
    // The ESS falls as the exponent grows: halve the bracket, keep the side that reaches it.
    let high = 1;
    exponent = 0;
    for (let i = 0; i < 30; i++) {
      const middle = 0.5 * (exponent + high);
      if (evaluate(middle).ess >= target) exponent = middle;
      else high = middle;
    }
  }
  const { sum } = evaluate(exponent);
  for (let i = 0; i < weights.length; i++) weights[i] /= sum;
  const logZ = largest + Math.log(plain.sum / weights.length);
  return { weights, exponent, ess: plain.ess, logZ };
}

/**
 * Repulsion of components (eq. 18): strength · Σ_{k≠l} cos(G_k, G_l), G_k = μμᵀ of unit rows (the
 * directions of the mean positions where those are the parameters).
 * Adds the gradient by the mu parameters to `gradient` (MintModel's layout); returns the value.
 */
export function addRepulsion(model: MintModel, strength: number, gradient: Float64Array): number {
  const { components, particles, dimension: n, parameters } = model;
  if (strength === 0 || components < 2 || !familyOf(model).hasMeans(model)) return 0;
  const m = particles - 1;
  const size = componentSize(model);
  const unit = new Float64Array(components * m * n);
  const norms = new Float64Array(components * m);
  const grams: Float64Array[] = []; // of unit length
  const gramNorms: number[] = [];
  const total = new Float64Array(m * m);
  for (let k = 0; k < components; k++) {
    for (let j = 0; j < m; j++) {
      const from = k * size + 1 + j * n;
      const norm = Math.hypot(...parameters.subarray(from, from + n)) || 1; // a mean at the anchor
      norms[k * m + j] = norm;
      for (let d = 0; d < n; d++) unit[(k * m + j) * n + d] = parameters[from + d] / norm;
    }
    const gram = new Float64Array(m * m);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < m; j++) {
        for (let d = 0; d < n; d++) {
          gram[i * m + j] += unit[(k * m + i) * n + d] * unit[(k * m + j) * n + d];
        }
      }
    }
    const gramNorm = Math.hypot(...gram);
    gramNorms.push(gramNorm);
    for (let e = 0; e < gram.length; e++) total[e] += gram[e] /= gramNorm;
    grams.push(gram);
  }
  // Σ_{k≠l} ĝ_k·ĝ_l = |Σ_k ĝ_k|² − K.
  let value = -components;
  for (const t of total) value += t * t;
  for (let k = 0; k < components; k++) {
    const gram = grams[k];
    let along = 0;
    for (let e = 0; e < gram.length; e++) along += total[e] * gram[e];
    for (let i = 0; i < m; i++) {
      const byUnit = new Float64Array(n);
      for (let j = 0; j < m; j++) {
        // The Gram matrix is symmetric: each μ_i enters a row and a column, hence 4 and not 2.
        const slope = 4 * (total[i * m + j] - along * gram[i * m + j]) / gramNorms[k];
        for (let d = 0; d < n; d++) byUnit[d] += slope * unit[(k * m + j) * n + d];
      }
      const at = (k * m + i) * n;
      let radial = 0;
      for (let d = 0; d < n; d++) radial += byUnit[d] * unit[at + d];
      for (let d = 0; d < n; d++) {
        gradient[k * size + 1 + i * n + d] += strength * (byUnit[d] - radial * unit[at + d]) /
          norms[k * m + i];
      }
    }
  }
  return strength * value;
}
