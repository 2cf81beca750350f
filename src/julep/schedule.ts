/** Time grids and the learned step size ε(t). */
import { RandomStream, Stream } from "../math/random.ts";

/** t_0 = 0 < ... < t_T = 1, equally spaced; length T + 1. */
export function uniformTimes(steps: number): Float64Array {
  return Float64Array.from({ length: steps + 1 }, (_, i) => i / steps);
}

/** t_0 = 0, sorted uniforms, t_T = 1 (the paper's training grid); `draw` numbers the grids. */
export function randomTimes(steps: number, seed: number, draw: number): Float64Array {
  const stream = new RandomStream(seed, Stream.grid, draw);
  const inner = Float64Array.from({ length: steps - 1 }, () => stream.uniform()).sort();
  const times = new Float64Array(steps + 1);
  times.set(inner, 1);
  times[steps] = 1;
  // Two uniforms may all but coincide; a step of zero length has no kernel.
  for (let i = 1; i <= steps; i++) {
    if (times[i] - times[i - 1] < 1e-6) return randomTimes(steps, seed, draw + 0x40000000);
  }
  return times;
}

/** Knot index and weight of the upper knot for time t. */
function knotAt(knots: number, t: number): [number, number] {
  if (knots === 1) return [0, 0];
  const position = Math.min(Math.max(t, 0), 1) * (knots - 1);
  const lower = Math.min(Math.floor(position), knots - 2);
  return [lower, position - lower];
}

/** ε of every step: log ε linear between equally spaced knots, taken at the step's midpoint. */
export function stepSizes(logStepSize: Float64Array, times: Float64Array): Float64Array {
  const steps = times.length - 1;
  const out = new Float64Array(steps);
  for (let i = 0; i < steps; i++) {
    const [k, f] = knotAt(logStepSize.length, (times[i] + times[i + 1]) / 2);
    out[i] = Math.exp(
      f === 0 ? logStepSize[k] : (1 - f) * logStepSize[k] + f * logStepSize[k + 1],
    );
  }
  return out;
}

/** Lower knot and share of the upper one for every step, (T, 2). */
export function stepKnots(knots: number, times: Float64Array): Float64Array {
  const steps = times.length - 1;
  const out = new Float64Array(2 * steps);
  for (let i = 0; i < steps; i++) out.set(knotAt(knots, (times[i] + times[i + 1]) / 2), 2 * i);
  return out;
}

/** ∂L/∂knots from ∂L/∂log ε of every step. */
export function knotGradient(
  knots: number,
  times: Float64Array,
  perStep: Float64Array,
): Float64Array {
  const out = new Float64Array(knots);
  for (let i = 0; i < perStep.length; i++) {
    const [k, f] = knotAt(knots, (times[i] + times[i + 1]) / 2);
    out[k] += (1 - f) * perStep[i];
    if (f > 0) out[k + 1] += f * perStep[i];
  }
  return out;
}
