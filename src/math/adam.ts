/** Adam (Kingma and Ba 2015, algorithm 1) in float64, with a state that resumes exactly. */

export interface AdamState {
  /** First and second moments, one per parameter. */
  readonly m: Float64Array;
  readonly v: Float64Array;
  /** Updates made. */
  step: number;
}

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

export function newAdamState(parameters: number): AdamState {
  return { m: new Float64Array(parameters), v: new Float64Array(parameters), step: 0 };
}

/** 1 − β₁ᵗ and 1 − β₂ᵗ: what the moments are divided by in update `step` (counted from 1). */
export function adamCorrections(step: number): [number, number] {
  return [1 - BETA1 ** step, 1 - BETA2 ** step];
}

/**
 * One update of `parameters` in place, down the gradient.
 *
 * @param learningRate one number, or a factor on top of it for every parameter in `scale`
 */
export function adamUpdate(
  state: AdamState,
  parameters: Float64Array,
  gradient: Float64Array,
  learningRate: number,
  scale?: Float64Array,
): void {
  state.step++;
  const [first, second] = adamCorrections(state.step);
  for (let i = 0; i < parameters.length; i++) {
    state.m[i] += (1 - BETA1) * (gradient[i] - state.m[i]);
    state.v[i] += (1 - BETA2) * (gradient[i] * gradient[i] - state.v[i]);
    const step = learningRate * (scale ? scale[i] : 1);
    parameters[i] -= step * (state.m[i] / first) / (Math.sqrt(state.v[i] / second) + EPSILON);
  }
}

/** Scales the gradient in place to norm `limit` where it is longer; returns the norm it had. */
export function clipNorm(gradient: Float64Array, limit: number): number {
  let square = 0;
  for (const g of gradient) square += g * g;
  const norm = Math.sqrt(square);
  if (norm > limit) { for (let i = 0; i < gradient.length; i++) gradient[i] *= limit / norm; }
  return norm;
}

/** Cosine from 1 at iteration 0 to `last` at `total`, after a linear warm-up of `warmup` iterations. */
export function cosineSchedule(iteration: number, total: number, last: number, warmup = 0): number {
  if (iteration < warmup) return (iteration + 1) / (warmup + 1);
  const done = Math.min(1, (iteration - warmup) / Math.max(1, total - warmup));
  return last + (1 - last) * 0.5 * (1 + Math.cos(Math.PI * done));
}
