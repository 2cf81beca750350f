/**
 * Energies and forces of a path's levels in float64 (docs/method.md section 4): the oracle of
 * assembly/level_energy.ts.
 */
import type { MixtureLevels, PairPathLevels } from "../../path/model.ts";
import type { System } from "../../systems/system.ts";
import { projectGauge } from "./julep.ts";

/** What the levels' energies are made of. */
export interface LevelProblem {
  readonly system: System;
  readonly levels: PairPathLevels | MixtureLevels;
  /** log q, and ∂log q/∂x to `gradient` ("mixture" paths). */
  readonly priorLogDensity: (positions: Float64Array, gradient: Float64Array) => number;
}

/** U_k(x), and ∇U_k to `gradient`; k = −1 is the prior (up to a constant). */
export function levelEnergy(
  problem: LevelProblem,
  level: number,
  x: Float64Array,
  gradient: Float64Array,
): number {
  const { levels } = problem;
  if (levels.kind === "mixture") return mixtureEnergy(problem, levels.times, level, x, gradient);
  if (level < 0) {
    gradient.set(x);
    projectGauge(gradient, problem.system.particles, "centre_of_mass");
    let square = 0;
    for (let a = 0; a < x.length; a++) {
      square += gradient[a] ** 2;
      gradient[a] /= levels.priorVariance;
    }
    return 0.5 * square / levels.priorVariance;
  }
  const confinement = levels.confinement[level];
  const energy = softLennardJones(
    levels.depth[level],
    levels.attraction[level],
    levels.softness[level],
    confinement,
    x,
    gradient,
  );
  if (!levels.saturation) return energy;
  const excess = confinement - levels.confinement[levels.confinement.length - 1];
  return energy + saturate(excess, levels.saturation, x, gradient);
}

/**
 * What a harmonic ½ κ′ |x_i − x_com|² changes by when it saturates at the distance R,
 * ½ κ′ Σ_i r_i² [1/(1 + u_i) − 1], u = r²/R²; its gradient is added to `gradient`.
 */
export function saturate(
  excess: number,
  distance: number,
  x: Float64Array,
  gradient: Float64Array,
): number {
  const d = x.slice();
  projectGauge(d, x.length / 3, "centre_of_mass");
  let energy = 0;
  for (let i = 0; i < x.length; i += 3) {
    const squared = d[i] ** 2 + d[i + 1] ** 2 + d[i + 2] ** 2;
    const share = 1 / (1 + squared / distance ** 2);
    energy += 0.5 * excess * squared * (share - 1);
    for (let a = 0; a < 3; a++) d[i + a] *= excess * (share * share - 1);
  }
  // The centre of mass moves with every particle.
  projectGauge(d, x.length / 3, "centre_of_mass");
  for (let a = 0; a < x.length; a++) gradient[a] += d[a];
  return energy;
}

/** ε Σ_{i<j} (q² − 2 s q) + ½ κ |x − x_com|², q = 1/(r⁶ + a), in three dimensions. */
export function softLennardJones(
  depth: number,
  attraction: number,
  softness: number,
  confinement: number,
  x: Float64Array,
  gradient: Float64Array,
): number {
  gradient.set(x);
  projectGauge(gradient, x.length / 3, "centre_of_mass");
  let energy = 0;
  for (let a = 0; a < x.length; a++) {
    energy += 0.5 * confinement * gradient[a] ** 2;
    gradient[a] *= confinement;
  }
  for (let i = 0; i < x.length; i += 3) {
    for (let j = i + 3; j < x.length; j += 3) {
      let squared = 0;
      for (let a = 0; a < 3; a++) squared += (x[i + a] - x[j + a]) ** 2;
      const q = 1 / (squared ** 3 + softness);
      energy += depth * q * (q - 2 * attraction);
      const slope = -12 * depth * (q - attraction) * q * q * squared ** 2;
      for (let a = 0; a < 3; a++) {
        const f = slope * (x[i + a] - x[j + a]);
        gradient[i + a] += f;
        gradient[j + a] -= f;
      }
    }
  }
  return energy;
}

function mixtureEnergy(
  { system, priorLogDensity }: LevelProblem,
  times: Float64Array,
  level: number,
  x: Float64Array,
  gradient: Float64Array,
): number {
  const t = level < 0 ? 0 : times[level];
  let energy = 0;
  gradient.fill(0);
  const part = new Float64Array(x.length);
  // The ends are exact: a prior that vanishes, or a colliding pair, must not reach them as 0·∞.
  if (t < 1) {
    energy -= (1 - t) * priorLogDensity(x, part);
    for (let a = 0; a < x.length; a++) gradient[a] -= (1 - t) * part[a];
  }
  if (t > 0) {
    energy += t * system.energyAndGradient(x, part, t);
    for (let a = 0; a < x.length; a++) gradient[a] += t * part[a];
  }
  return energy;
}

/** F_i → F_i/√(1 + |F_i|²/c²), then zero mean. c = 0: as it is. */
export function clipForce(force: Float64Array, particles: number, clip: number): void {
  if (clip === 0) return;
  const n = force.length / particles;
  for (let i = 0; i < force.length; i += n) {
    let norm = 0;
    for (let a = 0; a < n; a++) norm += force[i + a] ** 2;
    const factor = 1 / Math.sqrt(1 + norm / (clip * clip));
    for (let a = 0; a < n; a++) force[i + a] *= factor;
  }
  projectGauge(force, particles, "centre_of_mass");
}
