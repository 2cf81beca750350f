/**
 * Julep in float64: one trajectory with its path weight, and the gradient of the log-variance loss
 * along a stored one. Written for clarity; the oracle of assembly/julep.ts.
 *
 *   k⁺(x'|x) = N(x + D⁺, 2h),   D⁺ = (e^{+hA} − 1) x  + h ( b + c + F)   at (x,  t)
 *   k⁻(x|x') = N(x' + D⁻, 2h),  D⁻ = (e^{−hA} − 1) x' + h (−b + c + F)   at (x', t')
 *
 * h = εΔ. The network's A, b and c are in units of the force: without the factor ε a change of c by
 * δ would move W by about δ √(2/ε), and training would be unstable wherever ε must be small.
 * F = −∇U_t, U_t = (1 − t)(−log q) + t·U with U softened at t < 1 (docs/method.md section 3), or the
 * model's own pair path (src/julep/pair_path.ts). A fitted pair drift v adds ±Δv to D±.
 *
 * With a pair flow F of the step, k⁺ starts from F(x) and k⁻ arrives there, moved by what was evaluated
 * at x and x′ all the same: one evaluation a state,
 *   k⁺(x'|x) = N(x'; F(x) + D⁺(x), 2h),  k⁻(x|x') = N(F(x); x' + D⁻(x'), 2h) |∂F/∂x|.
 */
import type { JulepModel } from "../../julep/model.ts";
import { egnnBackward, egnnForward } from "./egnn.ts";
import { type EgnnOutput, egnnOutput } from "../../julep/egnn.ts";
import { normals } from "../../math/random.ts";
import { levelsAt, rowsAt, stepFlow } from "../../julep/pair_path.ts";
import type { PairFlow } from "../../path/model.ts";
import type { System } from "../../systems/system.ts";
import { saturate, softLennardJones } from "./level_energy.ts";
import { inversePairFlow, pairFlow } from "./pair_flow.ts";
import { pairVelocity } from "./pair_velocity.ts";
import {
  addExponentialAdjoint,
  addExponentialDisplacement,
  exponentialRate,
} from "./matrix_exponential.ts";

/** What a trajectory needs. Positions are (N, n). */
export interface Transport {
  readonly system: System;
  readonly julep: JulepModel;
  /** log q, and ∂log q/∂x (N·n) written to `gradient`. */
  readonly priorLogDensity: (positions: Float64Array, gradient: Float64Array) => number;
}

/** A state with everything both kernels need there. */
interface State {
  readonly x: Float64Array;
  /** U_t(x). */
  readonly energy: number;
  readonly force: Float64Array;
  /** v of the pair drift; null without one. */
  readonly velocity: Float64Array | null;
  /** Gauge-projected network outputs; null without a network. */
  readonly net: EgnnOutput | null;
}

/** Removes the mean of N rows, or zeroes the anchor's row: the gauge projection (symmetric). */
export function projectGauge(
  values: Float64Array,
  particles: number,
  gauge: JulepModel["gauge"],
  anchor = 0,
): void {
  const width = values.length / particles;
  for (let a = 0; a < width; a++) {
    if (gauge === "anchor") {
      values[anchor * width + a] = 0;
      continue;
    }
    let mean = 0;
    for (let i = 0; i < particles; i++) mean += values[i * width + a] / particles;
    for (let i = 0; i < particles; i++) values[i * width + a] -= mean;
  }
}

/** Puts the anchor, or the centre of mass, at the origin. */
export function intoGauge(
  positions: Float64Array,
  particles: number,
  gauge: JulepModel["gauge"],
  anchor = 0,
): void {
  const n = positions.length / particles;
  if (gauge === "centre_of_mass") return projectGauge(positions, particles, gauge);
  const origin = positions.slice(anchor * n, (anchor + 1) * n);
  for (let i = 0; i < positions.length; i++) positions[i] -= origin[i % n];
}

/** U_t and the clipped, projected force at time t. */
function annealedForce(p: Transport, x: Float64Array, t: number): [number, Float64Array] {
  const { particles: N, dimension: n } = p.system;
  const force = new Float64Array(N * n);
  const gradient = new Float64Array(N * n);
  let energy = 0;
  const { path } = p.julep;
  // The ends are exact: a prior that vanishes, or a colliding pair, must not reach them as 0·∞.
  if (path && t > 0) {
    const [depth, attraction, softness, confinement] = levelsAt(path, [t]);
    energy = softLennardJones(depth, attraction, softness, confinement, x, gradient);
    const { saturation, confinement: all } = path.levels;
    if (saturation) energy += saturate(confinement - all[all.length - 1], saturation, x, gradient);
    for (let a = 0; a < N * n; a++) force[a] = -gradient[a];
  } else if (t < 1) {
    energy -= (1 - t) * p.priorLogDensity(x, gradient);
    for (let a = 0; a < N * n; a++) force[a] += (1 - t) * gradient[a];
  }
  if (t > 0 && !path) {
    energy += t * p.system.energyAndGradient(x, gradient, t);
    for (let a = 0; a < N * n; a++) force[a] -= t * gradient[a];
  }
  const clip = path ? rowsAt(path.clip, 1, [t])[0] : p.julep.forceClip ?? 0;
  if (clip > 0) {
    for (let i = 0; i < N; i++) {
      let norm = 0;
      for (let a = 0; a < n; a++) norm += force[i * n + a] ** 2;
      const factor = 1 / Math.sqrt(1 + norm / (clip * clip));
      for (let a = 0; a < n; a++) force[i * n + a] *= factor;
    }
  }
  projectGauge(force, N, p.julep.gauge, p.julep.anchor);
  return [energy, force];
}

/** Gauge projection of the outputs (and of their adjoints); heads that are off are zeroed. */
function projectOutputs(p: Transport, net: EgnnOutput): void {
  const { gauge, anchor, drift, evenDrift } = p.julep;
  const N = p.system.particles;
  if (drift) projectGauge(net.b, N, gauge, anchor);
  else net.b.fill(0);
  if (evenDrift) projectGauge(net.c, N, gauge, anchor);
  else net.c.fill(0);
  if (net.s.length) projectGauge(net.h, N, gauge, anchor);
}

function networkAt(p: Transport, x: Float64Array, t: number): EgnnOutput | null {
  const { network, parameters, matrix } = p.julep;
  if (!network) return null;
  const net = egnnOutput(network);
  egnnForward(network, parameters, x, t, net);
  projectOutputs(p, net);
  if (matrix === "positive") net.s.fill(1);
  return net;
}

function velocityAt(p: Transport, x: Float64Array, t: number): Float64Array | null {
  const velocity = p.julep.pairDrift;
  if (!velocity) return null;
  const table = rowsAt(velocity.tables, velocity.cells + 1, [t]);
  return pairVelocity(x, p.system.dimension, table, velocity.width);
}

function stateAt(p: Transport, x: Float64Array, t: number): State {
  const [energy, force] = annealedForce(p, x, t);
  return { x, energy, force, velocity: velocityAt(p, x, t), net: networkAt(p, x, t) };
}

/** D⁺ (sign +1) or D⁻ (sign −1). */
function displacement(
  p: Transport,
  { x, force, velocity, net }: Omit<State, "energy">,
  sign: number,
  dt: number,
  eps: number,
): Float64Array {
  const h = eps * dt;
  const out = force.map((f) => h * f);
  if (velocity) { for (let a = 0; a < out.length; a++) out[a] += sign * dt * velocity[a]; }
  if (!net) return out;
  for (let a = 0; a < out.length; a++) out[a] += h * (sign * net.b[a] + net.c[a]);
  if (net.s.length) addExponentialDisplacement(lowRank(p, net), x, sign * h, out);
  return out;
}

function lowRank(p: Transport, net: EgnnOutput) {
  const { particles, dimension } = p.system;
  return { h: net.h, s: net.s, particles, dimension, channels: net.s.length };
}

/**
 * Moves x by the flow of a step, or back; returns log|∂F/∂x| of the way there. The anchor goes back to
 * the origin: F keeps the centre of mass, so its determinant is the same in either gauge.
 */
function moveAlong(
  p: Transport,
  flow: PairFlow | null,
  step: number,
  x: Float64Array,
  inverse = false,
): number {
  if (!flow) return 0;
  const { particles, dimension } = p.system;
  const logDeterminant = (inverse ? inversePairFlow : pairFlow)(flow, step, x, dimension);
  if (p.julep.gauge === "anchor") intoGauge(x, particles, "anchor", p.julep.anchor);
  return logDeterminant;
}

function flowOf(p: Transport, times: Float64Array): PairFlow | null {
  return p.julep.pairFlow ? stepFlow(p.julep.pairFlow, times) : null;
}

export interface ReferenceTrajectory {
  /** States at t_0 … t_T. */
  readonly states: Float64Array[];
  readonly forces: Float64Array[];
  /** U_{t_i}(x_i) − U_{t_{i+1}}(x_{i+1}) + log k⁻ − log k⁺, (T). */
  readonly increments: Float64Array;
  /** Σ log k⁻ − log k⁺. */
  readonly logKernelRatio: number;
}

/**
 * One trajectory from `start` (already in the gauge), forward from t = 0 or backward from t = 1.
 * The normals of step i are those of counters i·⌈Nn/2⌉ … of the sample.
 */
export function trajectory(
  p: Transport,
  start: Float64Array,
  times: Float64Array,
  stepSizes: Float64Array,
  direction: "forward" | "backward",
  key: readonly [number, number],
  sample: number,
): ReferenceTrajectory {
  const { particles: N } = p.system;
  const T = times.length - 1;
  const forward = direction === "forward";
  const sign = forward ? 1 : -1;
  const size = start.length;
  const states: Float64Array[] = [];
  const forces: Float64Array[] = [];
  const increments = new Float64Array(T);
  const noise = new Float64Array(size);
  let logKernelRatio = 0;
  const flow = flowOf(p, times);
  const from = forward ? 0 : T;
  let here = stateAt(p, start, times[from]);
  states[from] = here.x;
  forces[from] = here.force;
  for (let k = 0; k < T; k++) {
    const step = forward ? k : T - 1 - k;
    const next = forward ? step + 1 : step;
    const dt = times[step + 1] - times[step];
    const eps = stepSizes[step];
    const sigma = Math.sqrt(2 * eps * dt);
    normals(noise, key, sample, step * Math.ceil(size / 2));
    projectGauge(noise, N, p.julep.gauge, p.julep.anchor);
    const move = displacement(p, here, sign, dt, eps)
      .map((d, a) => d + sigma * noise[a]);
    const arrived = here.x.slice();
    let logDeterminant = 0;
    if (forward) logDeterminant = moveAlong(p, flow, step, arrived);
    for (let a = 0; a < size; a++) arrived[a] += move[a];
    if (!forward) logDeterminant = moveAlong(p, flow, step, arrived, true);
    const there = stateAt(p, arrived, times[next]);
    const back = displacement(p, there, -sign, dt, eps);
    let logRatio = 0;
    for (let a = 0; a < size; a++) {
      logRatio += 0.5 * (noise[a] ** 2 - ((move[a] + back[a]) / sigma) ** 2);
    }
    logRatio = sign * logRatio + logDeterminant;
    logKernelRatio += logRatio;
    increments[step] = sign * (here.energy - there.energy) + logRatio;
    here = there;
    states[next] = here.x;
    forces[next] = here.force;
  }
  return { states, forces, increments, logKernelRatio };
}

/**
 * Adds ∂loss/∂parameters to `gradient` and ∂loss/∂log ε of each step to `stepGradient`, for
 * coefficients[i] = ∂loss/∂increment_i (for ε: stepCoefficients[i]), i in [first, first + count); the
 * states are held fixed.
 */
export function trajectoryGradient(
  p: Transport,
  states: readonly Float64Array[],
  forces: readonly Float64Array[],
  times: Float64Array,
  stepSizes: Float64Array,
  coefficients: Float64Array,
  stepCoefficients: Float64Array,
  first: number,
  count: number,
  gradient: Float64Array,
  stepGradient: Float64Array,
): void {
  const { network, parameters, matrix } = p.julep;
  const last = first + count;
  const flow = flowOf(p, times);
  /** Where k⁺ of the steps at hand starts and k⁻ arrives. */
  let left = states[first];
  let departed = left;
  for (let j = first; j <= last; j++) {
    left = departed;
    departed = states[j].slice();
    if (j < last) moveAlong(p, flow, j, departed);
    const net = networkAt(p, states[j], times[j]);
    const velocity = velocityAt(p, states[j], times[j]);
    const adjoint = network ? egnnOutput(network) : null;
    /** The kernel of `step` evaluated at state j: k⁺ leaving it (+1) or k⁻ arriving at it (−1). */
    const addKernel = (step: number, sign: 1 | -1) => {
      const dt = times[step + 1] - times[step];
      const eps = stepSizes[step];
      const state = { x: states[j], force: forces[j], velocity, net };
      const d = displacement(p, state, sign, dt, eps);
      // increment = |R⁺|²/(4h) − |R⁻|²/(4h), and ∂D/∂log ε = h (F ± b + c) ± h A e^{±hA} x.
      const h = eps * dt;
      const g = new Float64Array(d.length);
      const linear = forces[j].map((f, a) => net ? h * (f + sign * net.b[a] + net.c[a]) : h * f);
      let square = 0;
      let along = 0;
      for (let a = 0; a < d.length; a++) {
        const from = sign > 0 ? departed : left;
        const r = sign * (states[step + 1][a] - from[a]) - d[a];
        square += r * r;
        g[a] = -sign * r / (2 * h);
        along += g[a] * linear[a];
      }
      if (net?.s.length) {
        const y = states[j].map((x, a) =>
          x + d[a] - linear[a] - (velocity ? sign * dt * velocity[a] : 0)
        );
        along += exponentialRate(lowRank(p, net), y, sign * h, g);
      }
      stepGradient[step] += stepCoefficients[step] * (along - sign * square / (4 * h));
      if (!net || !adjoint) return;
      for (let a = 0; a < d.length; a++) g[a] *= coefficients[step];
      for (let a = 0; a < d.length; a++) {
        adjoint.b[a] += sign * h * g[a];
        adjoint.c[a] += h * g[a];
      }
      if (net.s.length) {
        addExponentialAdjoint(lowRank(p, net), states[j], sign * h, g, adjoint.h, adjoint.s);
      }
    };
    if (j < last) addKernel(j, 1);
    if (j > first) addKernel(j - 1, -1);
    if (!network || !adjoint) continue;
    projectOutputs(p, adjoint);
    if (matrix === "positive") adjoint.s.fill(0);
    egnnBackward(network, parameters, states[j], times[j], adjoint, gradient);
  }
}
