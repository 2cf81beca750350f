/** Limited-memory BFGS (Nocedal and Wright, algorithm 7.5) with an Armijo backtracking search. */

/** Value at x; writes the gradient. May return a number that is not finite. */
export type Objective = (x: Float64Array, gradient: Float64Array) => number;

const MEMORY = 8;

/**
 * Descends from `x` in place; returns the value reached. Deterministic; stops after `steps`
 * iterations, when the gradient's norm is below `tolerance`, or when no step helps.
 *
 * @param maxMove longest step in the Euclidean norm
 */
export function descend(
  objective: Objective,
  x: Float64Array,
  steps: number,
  maxMove: number,
  tolerance = 1e-6,
): number {
  const size = x.length;
  let gradient = new Float64Array(size);
  let trialGradient = new Float64Array(size);
  const trial = new Float64Array(size);
  const direction = new Float64Array(size);
  let pairs: { s: Float64Array; y: Float64Array; rho: number }[] = [];
  let value = objective(x, gradient);
  for (let step = 0; step < steps; step++) {
    const norm = Math.sqrt(dot(gradient, gradient));
    if (!(norm > tolerance)) break;
    twoLoop(pairs, gradient, direction);
    if (!(dot(direction, gradient) < 0)) {
      pairs = [];
      for (let i = 0; i < size; i++) direction[i] = -gradient[i];
    }
    let length = Math.min(1, maxMove / Math.sqrt(dot(direction, direction)));
    if (pairs.length === 0) length = Math.min(length, 0.1 * maxMove / norm);
    const slope = dot(direction, gradient);
    let reached = NaN;
    for (let tries = 0; tries < 30; tries++, length *= 0.4) {
      for (let i = 0; i < size; i++) trial[i] = x[i] + length * direction[i];
      reached = objective(trial, trialGradient);
      if (reached <= value + 1e-4 * length * slope) break;
      reached = NaN;
    }
    if (!Number.isFinite(reached)) {
      if (pairs.length === 0) break;
      pairs = [];
      continue;
    }
    const s = trial.map((v, i) => v - x[i]);
    const y = trialGradient.map((v, i) => v - gradient[i]);
    const curvature = dot(s, y);
    if (curvature > 1e-12 * dot(y, y)) {
      pairs.push({ s, y, rho: 1 / curvature });
      if (pairs.length > MEMORY) pairs.shift();
    }
    x.set(trial);
    [gradient, trialGradient] = [trialGradient, gradient];
    value = reached;
  }
  return value;
}

/** direction = −H gradient. */
function twoLoop(
  pairs: { s: Float64Array; y: Float64Array; rho: number }[],
  gradient: Float64Array,
  direction: Float64Array,
): void {
  for (let i = 0; i < gradient.length; i++) direction[i] = -gradient[i];
  const alphas: number[] = [];
  for (let p = pairs.length - 1; p >= 0; p--) {
    const { s, y, rho } = pairs[p];
    const alpha = alphas[p] = rho * dot(s, direction);
    for (let i = 0; i < direction.length; i++) direction[i] -= alpha * y[i];
  }
  if (pairs.length > 0) {
    const { y, rho } = pairs[pairs.length - 1];
    const scale = 1 / (rho * dot(y, y));
    for (let i = 0; i < direction.length; i++) direction[i] *= scale;
  }
  for (let p = 0; p < pairs.length; p++) {
    const { s, y, rho } = pairs[p];
    const beta = rho * dot(y, direction);
    for (let i = 0; i < direction.length; i++) direction[i] += (alphas[p] - beta) * s[i];
  }
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
