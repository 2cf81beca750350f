/**
 * The comparators' kernels (src/julep/diffusion.ts) in float64: one path with its weight, the
 * gradient of the log-variance loss along a stored path, and the gradient of the Kullback-Leibler
 * divergence through the path. The oracle of assembly/controlled_diffusion.ts.
 */
import type { DiffusionSteps } from "../../julep/diffusion.ts";
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

/** S: the softened target's force, clipped per particle, without its mean, and c x. */
function targetForce(p: ControlledDiffusion, x: Float64Array, t: number): Float64Array {
  const { particles: N, dimension: n } = p.system;
  const force = new Float64Array(N * n);
  if (!p.julep.diffusion!.targetForce) return force;
  p.system.energyAndGradient(x, force, t);
  const clip = p.julep.forceClip;
  for (let i = 0; i < N; i++) {
    let square = 0;
    for (let a = 0; a < n; a++) square += force[i * n + a] ** 2;
    const factor = clip === null ? -1 : -1 / Math.sqrt(1 + square / (clip * clip));
    for (let a = 0; a < n; a++) force[i * n + a] *= factor;
  }
  projectGauge(force, N, "centre_of_mass");
  for (let a = 0; a < N * n; a++) force[a] += p.steps.attraction * x[a];
  return force;
}

function networkAt(p: ControlledDiffusion, x: Float64Array, t: number): EgnnOutput | null {
  const { network, parameters } = p.julep;
  if (!network) return null;
  const net = egnnOutput(network);
  egnnForward(network, parameters, x, t, net);
  projectGauge(net.b, network.particles, "centre_of_mass");
  return net;
}

/** u = b + γ (1 + g) S. */
function control(net: EgnnOutput | null, force: Float64Array, gain: number): Float64Array {
  const factor = gain * (1 + (net?.s[0] ?? 0));
  return force.map((f, a) => factor * f + (net ? net.b[a] : 0));
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
  const { pullForward, pullBackward, sigmaForward, sigmaBackward, control: h, gain } = p.steps;
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
      const force = forces[i] = targetForce(p, x, times[i]);
      const u = control(networkAt(p, x, times[i]), force, gain[i]);
      const move = x.map((v, a) => pullForward[i] * v + h[i] * u[a] + sigmaForward[i] * noise[a]);
      const next: Float64Array = x.map((v, a) => v + move[a]);
      for (let a = 0; a < size; a++) {
        returned += ((move[a] + pullBackward[i] * next[a]) / sigmaBackward[i]) ** 2;
      }
      x = states[i + 1] = next;
    } else {
      const move = x.map((v, a) => pullBackward[i] * v + sigmaBackward[i] * noise[a]);
      const next: Float64Array = x.map((v, a) => v + move[a]);
      const force = forces[i] = targetForce(p, next, times[i]);
      const u = control(networkAt(p, next, times[i]), force, gain[i]);
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
  const { pullForward, sigmaForward, control: h, gain } = p.steps;
  for (let i = first; i < first + count; i++) {
    const t = p.times[i];
    const u = control(networkAt(p, states[i], t), forces[i], gain[i]);
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
  adjoint.b.set(uAdjoint);
  projectGauge(adjoint.b, network!.particles, "centre_of_mass");
  if (adjoint.s.length) {
    adjoint.s[0] = p.steps.gain[step] * force.reduce((sum, f, a) => sum + f * uAdjoint[a], 0);
  }
  egnnBackward(network!, parameters, x, p.times[step], adjoint, gradient, inputGradient);
}

/**
 * Adds coefficient·∂W/∂parameters to `gradient`, the noise held fixed and the states following the
 * parameters (S counts as a constant): the adjoint method, from the end of the path backwards.
 */
export function pathGradient(
  p: ControlledDiffusion,
  states: readonly Float64Array[],
  forces: readonly Float64Array[],
  coefficient: number,
  gradient: Float64Array,
): void {
  if (!p.julep.network) return;
  const { pullForward, pullBackward, sigmaBackward, control: h } = p.steps;
  const T = p.times.length - 1;
  // W = −U(x_T) − log q(x_0) − Σ |x_i − a⁻x_{i+1}|²/(2σ⁻²) + terms of the noise alone.
  let lambda: Float64Array = forces[T].map((f) => coefficient * f);
  for (let i = T - 1; i >= 0; i--) {
    const residual = states[i].map((v, a) => v - (1 + pullBackward[i]) * states[i + 1][a]);
    const scale = coefficient / sigmaBackward[i] ** 2;
    lambda = lambda.map((l, a) => l + scale * (1 + pullBackward[i]) * residual[a]);
    const before = new Float64Array(lambda.length);
    const uAdjoint = lambda.map((l) => h[i] * l);
    addControlAdjoint(p, states[i], forces[i], i, uAdjoint, gradient, before);
    projectGauge(before, p.system.particles, "centre_of_mass");
    lambda = before.map((d, a) => d + (1 + pullForward[i]) * lambda[a] - scale * residual[a]);
  }
}
