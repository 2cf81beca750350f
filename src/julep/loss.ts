/**
 * The log-variance loss (eq. 21) over trajectories held fixed, in three forms:
 *
 *   total:  Var_s[ Σ_i D_{s,i} ],   per_step:  Σ_i Var_s[ D_{s,i} ],
 *   grouped:  Σ_g Var_s[ Σ_{i in g} D_{s,i} ] over G groups of consecutive steps, between the two.
 *
 * Trajectories weigh softmax(tilt·W): dead paths, whose W is far below all others, would otherwise
 * rule the variance although they count for nothing. tilt = 0 is the plain variance under the
 * sampler, tilt = 1 the variance as the target sees it; both vanish for a perfect transport.
 *
 * D_{s,i} = U_{t_i}(x_i) − U_{t_{i+1}}(x_{i+1}) + log k⁻ − log k⁺, whose sum over i is W up to the
 * prior's normalisation. All three reduce to ∂L/∂D_{s,i}, times ∂D/∂parameters from trajectoryGradient.
 */
import { LANES } from "../backends/backend.ts";
import { RandomStream, Stream } from "../math/random.ts";
import type { JulepConfig } from "../config/config.ts";

export interface LossReport {
  /** The loss itself (sample variance). */
  readonly loss: number;
  /** ∂loss/∂D, (T, S). */
  readonly coefficients: Float64Array;
  /** Samples whose increments were not finite; they take no part. */
  readonly dropped: number;
}

/**
 * How far an increment or a weight may stand from its median, in robust standard deviations,
 * before its pull on the gradient is capped (Huber's rule): the variance of a heavy tail is
 * otherwise one sample's affair. Sampling and weights are never clipped.
 */
const HUBER = 6;

function median(values: number[]): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** ∂Var_ω/∂v_s = 2 ω_s (v_s − v̄) with Σω = 1, outliers capped; returns the variance. */
function varianceGradient(values: Float64Array, weights: Float64Array, out: Float64Array): number {
  const kept = [...values].filter((_, s) => weights[s] > 0);
  if (kept.length < 2) return 0;
  const centre = median(kept);
  const scale = 1.4826 * median(kept.map((v) => Math.abs(v - centre)));
  const cap = (v: number) =>
    scale > 0 ? Math.min(Math.max(v, centre - HUBER * scale), centre + HUBER * scale) : v;
  let mean = 0;
  for (let s = 0; s < values.length; s++) if (weights[s] > 0) mean += weights[s] * cap(values[s]);
  let variance = 0;
  for (let s = 0; s < values.length; s++) {
    const deviation = weights[s] > 0 ? cap(values[s]) - mean : 0;
    out[s] = 2 * weights[s] * deviation;
    variance += weights[s] * deviation * deviation;
  }
  return variance;
}

/**
 * A weight this far below the largest counts as zero. It would not show in the gradient, but its
 * products in the network's backward pass would be denormal float32 numbers, which processors
 * multiply some hundred times slower: whole iterations took up to three times as long.
 */
const NEGLIGIBLE = 1e-14;

/** softmax(tilt·W); zero for what is not finite and for what is negligible. */
function tiltedWeights(totals: Float64Array, tilt: number): Float64Array {
  const max = totals.reduce((a, w) => Number.isFinite(w) ? Math.max(a, w) : a, -Infinity);
  const weights = totals.map((w) => {
    const relative = Number.isFinite(w) ? Math.exp(tilt * (w - max)) : 0;
    return relative > NEGLIGIBLE ? relative : 0;
  });
  const sum = weights.reduce((a, w) => a + w, 0);
  return sum > 0 ? weights.map((w) => w / sum) : weights;
}

/** The loss and ∂loss/∂D for increments (T, S). */
export function logVarianceLoss(
  increments: Float64Array,
  steps: number,
  samples: number,
  form: JulepConfig["loss"],
  groups = 1,
  tilt = 0,
): LossReport {
  const coefficients = new Float64Array(steps * samples);
  const totals = new Float64Array(samples);
  for (let i = 0; i < steps; i++) {
    for (let s = 0; s < samples; s++) totals[s] += increments[i * samples + s];
  }
  const weights = tiltedWeights(totals, tilt);
  let loss = 0;
  const row = new Float64Array(samples);
  const count = form === "total" ? 1 : form === "per_step" ? steps : Math.min(groups, steps);
  for (let g = 0; g < count; g++) {
    const from = Math.floor(g * steps / count);
    const to = Math.floor((g + 1) * steps / count);
    const sums = new Float64Array(samples);
    for (let i = from; i < to; i++) {
      for (let s = 0; s < samples; s++) sums[s] += increments[i * samples + s];
    }
    loss += varianceGradient(sums, weights, row);
    for (let i = from; i < to; i++) coefficients.set(row, i * samples);
  }
  return {
    loss,
    coefficients,
    dropped: totals.reduce((n, w) => n + (Number.isFinite(w) ? 0 : 1), 0),
  };
}

/**
 * The Kullback-Leibler divergence from the sampler's paths to the target's, mean −W up to log Z: the
 * loss of the path integral sampler, whose gradient goes through the path. Every row of the
 * coefficients is ∂loss/∂W. A path whose W is far below the others' (Huber's rule, as above) pulls
 * no more than one at the edge: its row is scaled down.
 */
export function reverseDivergence(
  increments: Float64Array,
  steps: number,
  samples: number,
): LossReport {
  const totals = new Float64Array(samples);
  for (let i = 0; i < steps; i++) {
    for (let s = 0; s < samples; s++) totals[s] += increments[i * samples + s];
  }
  const finite = [...totals].filter(Number.isFinite);
  const centre = finite.length ? median(finite) : 0;
  const scale = 1.4826 * median(finite.map((v) => Math.abs(v - centre)));
  const coefficients = new Float64Array(steps * samples);
  let loss = 0;
  totals.forEach((W, s) => {
    if (!Number.isFinite(W)) return;
    loss -= W / finite.length;
    const below = centre - W;
    const pull = below > HUBER * scale ? HUBER * scale / below : 1;
    for (let i = 0; i < steps; i++) coefficients[i * samples + s] = -pull / finite.length;
  });
  return { loss, coefficients, dropped: samples - finite.length };
}

/**
 * For every block of LANES samples, the window of steps whose gradient is taken: first step and
 * length, (blocks, 2). A window may begin before the first step or end after the last one and is
 * cut there, so that every step is visited with the same probability; multiplying the
 * coefficients by `scale`, its inverse, keeps the gradient unbiased.
 */
export function gradientWindows(
  steps: number,
  samples: number,
  fraction: number,
  seed: number,
  iteration: number,
): { windows: Int32Array; scale: number } {
  const blocks = Math.ceil(samples / LANES);
  const windows = new Int32Array(blocks * 2);
  const length = Math.max(1, Math.round(fraction * steps));
  if (length >= steps) {
    for (let b = 0; b < blocks; b++) windows[2 * b + 1] = steps;
    return { windows, scale: 1 };
  }
  // Starts run over 1 − length ... steps − 1: each step lies in exactly `length` of them.
  const stream = new RandomStream(seed, Stream.window, iteration);
  for (let b = 0; b < blocks; b++) {
    const start = 1 - length + stream.integer(steps + length - 1);
    const first = Math.max(0, start);
    windows[2 * b] = first;
    windows[2 * b + 1] = Math.min(steps, start + length) - first;
  }
  return { windows, scale: (steps + length - 1) / length };
}
