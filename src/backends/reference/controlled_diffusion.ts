/**
 * The comparators' kernels (src/julep/diffusion.ts) in float64: one path with its weight, the
 * gradient of the log-variance loss along a stored path, and the gradient of the Kullback-Leibler
 * divergence through the path. The oracle of assembly/controlled_diffusion.ts.
 */
import { DIFFERENCE, type DiffusionSteps } from "../../julep/diffusion.ts";
import { type EgnnOutput, egnnOutput } from "../../julep/egnn.ts";
import type { JulepModel } from "../../julep/model.ts";
import { normals } from "../../math/random.ts";
import type { System } from "../../systems/system.ts";
import { egnnBackward, egnnForward } from "./egnn.ts";
import { projectGauge } from "./julep.ts";

/** What a path needs. Positions are (N, n), centre of mass at the origin. */
export interface ControlledDiffusion {
  readonly system: System;
  /** With `diffusion`; its gauge is the centre of mass. */
  readonly julep: JulepModel;
  /** s of the prior. */
  readonly priorScale: number;
  readonly times: Float64Array;
  readonly steps: DiffusionSteps;
}

export interface ControlledPath {
  /** States at t_0 … t_T. */
  readonly states: Float64Array[];
  /** S at the states t_0 … t_{T−1} (zero without targetForce); at t_T: −∇U, not clipped. */
  readonly forces: Float64Array[];
  /** log k⁻ − log k⁺ of the steps; the first also has −log q (up to a constant), the last −U. */
  readonly increments: Float64Array;
  /** Σ log k⁻ − log k⁺. */
  readonly logKernelRatio: number;
}

/** −∇U softened, clipped per particle, without its mean. */
function targetForce(p: ControlledDiffusion, x: Float64Array, t: number): Float64Array {
  const { particles: N, dimension: n } = p.system;
  const force = new Float64Array(N * n);
  p.system.energyAndGradient(x, force, t);
  const clip = p.julep.forceClip;
  for (let i = 0; i < N; i++) {
    let square = 0;
    for (let a = 0; a < n; a++) square += force[i * n + a] ** 2;
    const factor = clip === null ? -1 : -1 / Math.sqrt(1 + square / (clip * clip));
    for (let a = 0; a < n; a++) force[i * n + a] *= factor;
  }
  projectGauge(force, N, "centre_of_mass");
  return force;
}

/** S at a step's state. */
function guidance(p: ControlledDiffusion, x: Float64Array, step: number): Float64Array {
  const { attraction, decay, precision, descent } = p.steps;
  const { targetForce: wanted, proximalSteps } = p.julep.diffusion!;
  if (!wanted) return new Float64Array(x.length);
  const from = x.map((v) => decay[step] * v);
  let y: Float64Array = from;
  for (let k = 0; k < proximalSteps; k++) {
    const force = targetForce(p, y, p.times[step]);
    y = y.map((v, a) =>
      v + descent[step] * (force[a] + attraction * v - precision[step] * (v - from[a]))
    );
  }
  return y.map((v, a) => decay[step] * precision[step] * (v - from[a]));
}

function networkAt(p: ControlledDiffusion, x: Float64Array, t: number): EgnnOutput | null {
  const { network, parameters } = p.julep;
  if (!network) return null;
  const net = egnnOutput(network);
  egnnForward(network, parameters, x, t, net);
  projectGauge(net.b, network.particles, "centre_of_mass");
  return net;
}

/** u = β b + 2 (1 + g) S. */
function control(
  { scale }: DiffusionSteps,
  step: number,
  net: EgnnOutput | null,
  force: Float64Array,
): Float64Array {
  const factor = 2 * (1 + (net?.s[0] ?? 0));
  return force.map((f, a) => factor * f + (net ? scale[step] * net.b[a] : 0));
}

/**
 * One path, forward from t = 0 or backward from t = 1, `start` with its centre of mass at the origin.
 * The normals of step i are those of counters i·⌈Nn/2⌉ … of the sample.
 */
export function controlledPath(
  p: ControlledDiffusion,
  start: Float64Array,
  direction: "forward" | "backward",
  key: readonly [number, number],
  sample: number,
): ControlledPath {
  const { system, times } = p;
  const { pullForward, pullBackward, sigmaForward, sigmaBackward, control: h } = p.steps;
  const T = times.length - 1;
  const size = start.length;
  const freedom = size - system.dimension;
  const forward = direction === "forward";
  const states: Float64Array[] = [];
  const forces: Float64Array[] = [];
  const increments = new Float64Array(T);
  const noise = new Float64Array(size);
  let x = states[forward ? 0 : T] = start;
  let logKernelRatio = 0;
  for (let k = 0; k < T; k++) {
    const i = forward ? k : T - 1 - k;
    normals(noise, key, sample, i * Math.ceil(size / 2));
    projectGauge(noise, system.particles, "centre_of_mass");
    let returned = 0, drawn = 0;
    for (const z of noise) drawn += z * z;
    if (forward) {
      const force = forces[i] = guidance(p, x, i);
      const u = control(p.steps, i, networkAt(p, x, times[i]), force);
      const move = x.map((v, a) => pullForward[i] * v + h[i] * u[a] + sigmaForward[i] * noise[a]);
      const next: Float64Array = x.map((v, a) => v + move[a]);
      for (let a = 0; a < size; a++) {
        returned += ((move[a] + pullBackward[i] * next[a]) / sigmaBackward[i]) ** 2;
      }
      x = states[i + 1] = next;
    } else {
      const move = x.map((v, a) => pullBackward[i] * v + sigmaBackward[i] * noise[a]);
      const next: Float64Array = x.map((v, a) => v + move[a]);
      const force = forces[i] = guidance(p, next, i);
      const u = control(p.steps, i, networkAt(p, next, times[i]), force);
      for (let a = 0; a < size; a++) {
        returned += ((move[a] + pullForward[i] * next[a] + h[i] * u[a]) / sigmaForward[i]) ** 2;
      }
      x = states[i] = next;
    }
    increments[i] = (forward ? 0.5 : -0.5) * (drawn - returned) +
      freedom * Math.log(sigmaForward[i] / sigmaBackward[i]);
    logKernelRatio += increments[i];
  }
  const end = new Float64Array(size);
  increments[T - 1] -= system.energyAndGradient(states[T], end);
  forces[T] = end.map((g) => -g);
  projectGauge(forces[T], system.particles, "centre_of_mass");
  for (const v of states[0]) increments[0] += 0.5 * (v / p.priorScale) ** 2;
  return { states, forces, increments, logKernelRatio };
}

/**
 * Adds Σ_i coefficients[i]·∂increment_i/∂parameters of the steps in [first, first + count) to
 * `gradient`; the states are held fixed.
 */
export function detachedGradient(
  p: ControlledDiffusion,
  states: readonly Float64Array[],
  forces: readonly Float64Array[],
  coefficients: Float64Array,
  first: number,
  count: number,
  gradient: Float64Array,
): void {
  if (!p.julep.network) return;
  const { pullForward, sigmaForward, control: h } = p.steps;
  for (let i = first; i < first + count; i++) {
    const t = p.times[i];
    const u = control(p.steps, i, networkAt(p, states[i], t), forces[i]);
    // ∂increment/∂u = −(h/σ⁺²)(x_{i+1} − a⁺x_i − h u).
    const adjoint = u.map((v, a) =>
      -coefficients[i] * h[i] / sigmaForward[i] ** 2 *
      (states[i + 1][a] - states[i][a] - pullForward[i] * states[i][a] - h[i] * v)
    );
    addControlAdjoint(p, states[i], forces[i], i, adjoint, gradient);
  }
}

/** The adjoint of u into the parameters, and into the positions where `inputGradient` is given. */
function addControlAdjoint(
  p: ControlledDiffusion,
  x: Float64Array,
  force: Float64Array,
  step: number,
  uAdjoint: Float64Array,
  gradient: Float64Array,
  inputGradient?: Float64Array,
): void {
  const { network, parameters } = p.julep;
  const adjoint = egnnOutput(network!);
  adjoint.b.set(uAdjoint.map((v) => p.steps.scale[step] * v));
  projectGauge(adjoint.b, network!.particles, "centre_of_mass");
  if (adjoint.s.length) {
    adjoint.s[0] = 2 * force.reduce((sum, f, a) => sum + f * uAdjoint[a], 0);
  }
  egnnBackward(network!, parameters, x, p.times[step], adjoint, gradient, inputGradient);
}

/**
 * Adds coefficient·∂W/∂parameters to `gradient`, the noise held fixed and the states following the
 * parameters: the adjoint method, from the end of the path backwards. What log k⁺ of a step depends on
 * its own control, −(h/σ⁺) z·∂u, has mean zero and is left out ("sticking the landing"; Roeder, Wu and
 * Duvenaud 2017, Xu, Chen, Li and Duvenaud 2022): then every term vanishes for a perfect control.
 * The network's ∂u/∂x takes the same adjoint, again changed by a mean of zero. The adjoint grows
 * along paths that part from their neighbours, so it is clipped where adjointClip is given: biased
 * where the control is far from perfect, and of no effect on a perfect one, whose adjoints are zero.
 * `whole` leaves nothing out (tests).
 */
export function pathGradient(
  p: ControlledDiffusion,
  states: readonly Float64Array[],
  forces: readonly Float64Array[],
  coefficient: number,
  gradient: Float64Array,
  whole = false,
): void {
  if (!p.julep.network) return;
  const { pullForward, pullBackward, sigmaForward, sigmaBackward, control: h } = p.steps;
  const T = p.times.length - 1;
  // W = −U(x_T) − log q(x_0) − Σ |x_i − a⁻x_{i+1}|²/(2σ⁻²) + terms of the noise alone.
  let lambda: Float64Array = forces[T].map((f) => coefficient * f);
  for (let i = T - 1; i >= 0; i--) {
    const x = states[i], next = states[i + 1];
    const residual = x.map((v, a) => v - (1 + pullBackward[i]) * next[a]);
    const scale = coefficient / sigmaBackward[i] ** 2;
    lambda = lambda.map((l, a) => l + scale * (1 + pullBackward[i]) * residual[a]);
    const net = networkAt(p, x, p.times[i]);
    const u = control(p.steps, i, net, forces[i]);
    // m = λ + z/σ⁺ is clipped in units of β, z/σ⁺ = (x_{i+1} − a⁺x_i − h u)/σ⁺².
    const own = u.map((v, a) =>
      whole
        ? 0
        : coefficient / sigmaForward[i] ** 2 * (next[a] - x[a] - pullForward[i] * x[a] - h[i] * v)
    );
    const m = lambda.map((l, a) => l + own[a]);
    clipAdjoint(p, m, coefficient * p.steps.scale[i]);
    lambda = m.map((v, a) => v - own[a]);
    const uAdjoint = m.map((v) => h[i] * v);
    const before = new Float64Array(lambda.length);
    addControlAdjoint(p, x, forces[i], i, uAdjoint, gradient, before);
    projectGauge(before, p.system.particles, "centre_of_mass");
    const factor = 2 * h[i] * (1 + (net?.s[0] ?? 0));
    const throughForce = guidanceDerivative(p, x, i, lambda.map((l) => factor * l));
    lambda = before.map((d, a) =>
      d + throughForce[a] + (1 + pullForward[i]) * lambda[a] - scale * residual[a]
    );
  }
}

/** v ← v/√(1 + |v_i|²/(adjointClip·unit)²) for every particle. */
function clipAdjoint(p: ControlledDiffusion, v: Float64Array, unit: number): void {
  const clip = p.julep.diffusion!.adjointClip;
  if (clip === null || unit === 0) return;
  const { particles: N, dimension: n } = p.system;
  for (let i = 0; i < N; i++) {
    const own = v.subarray(i * n, (i + 1) * n);
    const square = own.reduce((sum, c) => sum + c * c, 0);
    const factor = 1 / Math.sqrt(1 + square / (clip * unit) ** 2);
    for (let a = 0; a < n; a++) own[a] *= factor;
  }
}

/** (∂S/∂x) v at a step's state, a central difference. */
function guidanceDerivative(
  p: ControlledDiffusion,
  x: Float64Array,
  step: number,
  v: Float64Array,
): Float64Array {
  const w = v.slice();
  projectGauge(w, p.system.particles, "centre_of_mass");
  const norm = Math.hypot(...w);
  if (!(p.julep.diffusion!.targetForce && norm > 0)) return new Float64Array(v.length);
  const move = DIFFERENCE * p.system.lengthScale / norm;
  const above = guidance(p, x.map((y, a) => y + move * w[a]), step);
  const below = guidance(p, x.map((y, a) => y - move * w[a]), step);
  return above.map((g, a) => (g - below[a]) / (2 * move));
}
