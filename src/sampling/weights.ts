/**
 * Statistics of importance weights w = e^W from log-weights W. A log-weight of −∞ or NaN is a path
 * that left the finite numbers: its weight is zero, and it still counts in n. (Dropping it would
 * bias log Z upwards.)
 */
import { blockJackknife } from "./jackknife.ts";

/** Samples in each batch of `medianBatchEss`, unless told otherwise. */
const ESS_BATCH_SIZE = 1000;

/**
 * Largest share of one weight in all for which the spread of the samples says anything about the
 * error of a mean or of the ESS. Beyond it the estimate is one sample, whose distance from its own
 * value is nought: the formulae give errors near zero where the error is unknown, so that NaN is
 * given instead.
 */
const MAX_SHARE_FOR_ERRORS = 0.5;

/** Weights relative to the largest one: the scale cancels, and nothing overflows. */
function scaledWeights(logWeights: Float64Array): { weights: Float64Array; max: number } {
  const n = logWeights.length;
  let max = -Infinity;
  for (let i = 0; i < n; i++) if (logWeights[i] > max) max = logWeights[i];
  const weights = new Float64Array(n);
  if (max === -Infinity) return { weights, max };
  for (let i = 0; i < n; i++) {
    const W = logWeights[i];
    // W === max also covers +∞, whose weight outdoes all others.
    if (!Number.isNaN(W)) weights[i] = W === max ? 1 : Math.exp(W - max);
  }
  return { weights, max };
}

const sum = (x: Float64Array) => x.reduce((a, b) => a + b, 0);

function essOfSums(total: number, sumOfSquares: number, n: number): number {
  return sumOfSquares > 0 ? total * total / (n * sumOfSquares) : 0;
}

/** Σ w and Σ w² of samples [from, to) of scaled weights, as an ESS fraction. */
function essOfRange(weights: Float64Array, from: number, to: number): number {
  let total = 0, squares = 0;
  for (let i = from; i < to; i++) {
    total += weights[i];
    squares += weights[i] ** 2;
  }
  return essOfSums(total, squares, to - from);
}

/**
 * Kish's effective sample size as a fraction in [0, 1]: (Σw)² / (n Σw²), eq. 27. Zero when there is
 * no sample or no weight. One number from one end: it does not see what the sampler never visits.
 *
 * @example Four samples, one of which has all the weight
 * ```ts
 * import assert from "node:assert/strict";
 * import { effectiveSampleSize } from "@lab/mintjulep";
 *
 * assert.equal(effectiveSampleSize(Float64Array.of(0, -Infinity, -Infinity, -Infinity)), 0.25);
 * ```
 */
export function effectiveSampleSize(logWeights: Float64Array): number {
  return essOfRange(scaledWeights(logWeights).weights, 0, logWeights.length);
}

/**
 * `effectiveSampleSize` with a block-jackknife standard error (100 blocks); NaN where one weight has
 * more than `MAX_SHARE_FOR_ERRORS` of all .
 */
export function effectiveSampleSizeWithError(
  logWeights: Float64Array,
): { ess: number; standardError: number } {
  const { weights } = scaledWeights(logWeights);
  const { value, standardError } = blockJackknife(
    [weights, weights.map((w) => w * w)],
    ([total, squares], n) => essOfSums(total, squares, n),
  );
  const unknown = sum(weights) < 1 / MAX_SHARE_FOR_ERRORS;
  return { ess: value, standardError: unknown ? NaN : standardError };
}

/**
 * Median over consecutive batches of their own ESS fraction; an incomplete last batch is left out
 * unless it is the only one. A rare huge weight moves the pooled ESS and hardly this one: when the
 * two differ, the weights have a heavy tail. A batch's ESS has a bias of order 1/(batch size)
 * upwards, so the batch size belongs to the number.
 */
export function medianBatchEss(logWeights: Float64Array, batchSize = ESS_BATCH_SIZE): number {
  const n = logWeights.length;
  if (n < 2 * batchSize) return effectiveSampleSize(logWeights);
  const batches: number[] = [];
  for (let from = 0; from + batchSize <= n; from += batchSize) {
    // Each batch has its own scale: next to another batch's huge weight its own could underflow.
    batches.push(effectiveSampleSize(logWeights.subarray(from, from + batchSize)));
  }
  batches.sort((a, b) => a - b);
  const half = batches.length >> 1;
  return batches.length % 2 ? batches[half] : (batches[half - 1] + batches[half]) / 2;
}

/**
 * log Z = log (1/n) Σ w, and its standard error by a delete-one-block jackknife over
 * min(100, n) blocks. The bias of the logarithm, −(1/ESS − 1)/(2n), is not corrected: it is below
 * the error by a factor of order √n.
 */
export function logPartitionFunction(
  logWeights: Float64Array,
): { logZ: number; standardError: number } {
  const { weights, max } = scaledWeights(logWeights);
  if (!Number.isFinite(max)) return { logZ: max, standardError: NaN };
  const { value, standardError } = blockJackknife([weights], ([total], n) => Math.log(total / n));
  return { logZ: max + value, standardError };
}

/** Weights divided by their sum. All zero when there is no weight at all. */
export function normalisedWeights(logWeights: Float64Array): Float64Array {
  const { weights } = scaledWeights(logWeights);
  const total = sum(weights);
  return total > 0 ? weights.map((w) => w / total) : weights;
}

/** The share of the largest weight in the sum of all, in [0, 1]; 0 when there is no weight. */
export function largestWeightShare(logWeights: Float64Array): number {
  const { weights } = scaledWeights(logWeights);
  const total = sum(weights);
  return total > 0 ? 1 / total : 0;
}

/** How many log-weights are −∞, +∞ or NaN. */
export function countNonFinite(logWeights: Float64Array): number {
  let count = 0;
  for (const W of logWeights) if (!Number.isFinite(W)) count++;
  return count;
}

/**
 * Self-normalised importance-sampling mean μ = Σ w f / Σ w and its delta-method standard error
 * √(n/(n−1) Σ w̃² (f − μ)²), w̃ = w / Σw (Owen, Monte Carlo theory, eq. 9.9). Values of samples
 * without weight are not looked at. `logWeights` null: all weights equal. The error is NaN where one
 * weight has more than `MAX_SHARE_FOR_ERRORS` of all.
 */
export function weightedMean(
  values: Float64Array,
  logWeights: Float64Array | null,
): { mean: number; standardError: number } {
  const n = values.length;
  if (logWeights && logWeights.length !== n) {
    throw new RangeError(`${n} values but ${logWeights.length} log-weights`);
  }
  const weights = logWeights ? normalisedWeights(logWeights) : new Float64Array(n).fill(1 / n);
  let mean = 0, total = 0;
  for (let i = 0; i < n; i++) {
    if (weights[i] === 0) continue;
    mean += weights[i] * values[i];
    total += weights[i];
  }
  if (total === 0) return { mean: NaN, standardError: NaN };
  mean /= total;
  let variance = 0, largest = 0;
  for (let i = 0; i < n; i++) {
    largest = Math.max(largest, weights[i]);
    if (weights[i] !== 0) variance += (weights[i] * (values[i] - mean)) ** 2;
  }
  if (n < 2 || largest > MAX_SHARE_FOR_ERRORS) return { mean, standardError: NaN };
  return { mean, standardError: Math.sqrt(variance * n / (n - 1)) };
}
