/**
 * Diagnostics from both ends. W of paths drawn forward (prior → target) says nothing about regions
 * the sampler never visits. W of paths run backward from samples of the target does: there
 * E_p[e^{−W}] = 1/Z, and a region missed by the sampler has a huge W.
 *
 * Log-weights from reference samples: −∞ or NaN marks a backward path that left the finite numbers.
 * The sampler gives such paths weight zero, so what it estimates is an integral over the other
 * paths, and the averages here run over those too; `warnings` counts them. +∞ is a region the
 * sampler can never reach: it makes the ESS zero and the EUBO infinite.
 */
import { blockJackknife } from "./jackknife.ts";

function withoutFailed(logWeights: Float64Array): Float64Array {
  return logWeights.filter((W) => W > -Infinity);
}

/**
 * The ESS fraction as seen from the target: 1 / E_p[e^{W − log Z}], with a block-jackknife error.
 * Equal to the sampler's own ESS (eq. 27) in the limit of many samples; small where the sampler
 * misses part of the target.
 *
 * @param logWeights W of backward paths from samples of the target
 * @param logZ the exact log Z, or the best estimate of it (`logPartitionFromBothEnds`): an error of
 * δ here is a factor e^δ in the result, and the sampler's own log Z is too low where modes are missed
 */
export function essFromReference(
  logWeights: Float64Array,
  logZ: number,
): { ess: number; standardError: number } {
  const W = withoutFailed(logWeights);
  if (W.length === 0) return { ess: NaN, standardError: NaN };
  const max = W.reduce((a, b) => Math.max(a, b), -Infinity);
  if (max === Infinity) return { ess: 0, standardError: Infinity };
  const { value, standardError } = blockJackknife(
    [W.map((w) => Math.exp(w - max))],
    ([sum], n) => Math.exp(logZ - max) * n / sum,
  );
  return { ess: value, standardError };
}

function meanWithError(values: Float64Array): { mean: number; standardError: number } {
  if (values.length === 0) return { mean: NaN, standardError: NaN };
  const { value, standardError } = blockJackknife([values], ([sum], n) => sum / n);
  return { mean: value, standardError };
}

/** Evidence upper bound: the mean of W over backward paths from the target; log Z ≤ EUBO. */
export function eubo(logWeights: Float64Array): { mean: number; standardError: number } {
  return meanWithError(withoutFailed(logWeights));
}

/** Evidence lower bound: the mean of W over forward paths that did not fail; ELBO ≤ log Z. */
export function elbo(logWeights: Float64Array): { mean: number; standardError: number } {
  return meanWithError(withoutFailed(logWeights));
}

/** The largest W − log Z of backward paths from the target. */
export function maxLogWeightFromReference(logWeights: Float64Array, logZ: number): number {
  return withoutFailed(logWeights).reduce((a, b) => Math.max(a, b), -Infinity) - logZ;
}

const sigmoid = (x: number) => x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));

/**
 * log Z from both ends: Bennett's acceptance ratio (J. Comput. Phys. 22, 245, 1976). The c that
 * solves Σ_forward σ(W − c) = Σ_backward σ(c − W) gives log Z = c + log(n_backward/n_forward). It is
 * right even where the sampler misses modes, as long as the backward samples have them in their
 * true proportions. Standard error: Bennett's eq. 10a with block means.
 */
export function logPartitionFromBothEnds(
  forward: Float64Array,
  backward: Float64Array,
): { logZ: number; standardError: number } {
  const n = forward.length;
  const reached = forward.filter((W) => W > -Infinity);
  const target = withoutFailed(backward);
  const all = [reached, target].map((W) => W.filter(Number.isFinite));
  if (all.some((W) => W.length === 0)) return { logZ: NaN, standardError: NaN };

  let low = Infinity, high = -Infinity;
  for (const W of all) {
    for (const value of W) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  const margin = Math.log(n + target.length) + 1; // at c = low − margin the left side is the larger
  low -= margin;
  high += margin;
  for (let step = 0; step < 100 && high - low > 1e-12 * (1 + Math.abs(low)); step++) {
    const c = (low + high) / 2;
    let balance = 0;
    for (const W of reached) balance += sigmoid(W - c);
    for (const W of target) balance -= sigmoid(c - W);
    if (balance > 0) low = c;
    else high = c;
  }
  const c = (low + high) / 2;
  const forwardTerms = forward.map((W) => W > -Infinity ? sigmoid(W - c) : 0);
  const ends = [forwardTerms, target.map((W) => sigmoid(c - W))].map(meanWithError);
  const variance = ends.reduce((sum, e) => sum + (e.standardError / e.mean) ** 2, 0);
  return {
    logZ: c + Math.log(target.length / n),
    standardError: Number.isFinite(variance) ? Math.sqrt(variance) : Infinity,
  };
}
