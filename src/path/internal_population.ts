/**
 * What a backend offers to anneal molecules in internal coordinates: populations whose samples move by
 * adjusted transitions, each under its own random numbers. Weights are made of what they show by
 * src/backends/internal_paths.ts and internal_smc.ts, in float64 on every backend.
 *
 * A transition number k for U_t = (1 − t)(−log q) + t V is Hamiltonian Monte Carlo with a global
 * Cholesky factor L of the prior's local covariance as its scale: velocities v ~ N(0, 1), leapfrogs
 * v −= h/2 Lᵀ∇V, z += h L v, v −= h/2 Lᵀ∇V, then the Metropolis rule. Forces are those of V alone:
 * leapfrogs conserve volume and are reversible under any force, and the acceptance corrects for U_t.
 * log q is then needed once a transition, its gradient never.
 */
import type { Stream } from "../math/random.ts";

/** Samples first … first + count − 1 of a stream, moving together. */
export interface InternalPopulation {
  readonly count: number;
  /** V at the places, as the transitions see it; +∞ or NaN out of the domain. (count) */
  readonly values: Float64Array;
  /** log q there, the same way. */
  readonly logDensities: Float64Array;
  /** 1 where the last transition was accepted, else 0. */
  readonly accepted: Float64Array;
  /** Gradients taken so far, those at the starts included. */
  readonly gradients: number;
  /** Transition number `step` ≥ 0 of every sample, for U_t. */
  transition(step: number, t: number): void;
  /** Sample s becomes a copy of sample ancestors[s]; who has descendants is one itself. */
  copy(ancestors: Int32Array): void;
  /** (count, n), n = 3N − 6. */
  places(): Float64Array;
  dispose(): void;
}

export interface InternalPopulationOptions {
  readonly seed: number;
  readonly stream: Stream;
  /** A multiple of LANES. */
  readonly first: number;
}

/** A population at given places (count, n), float32 values. */
export type StartInternal = (
  places: Float64Array,
  options: InternalPopulationOptions,
) => InternalPopulation;

/** Every transition varies its time step by this fraction either way. */
export const STEP_JITTER = 0.2;

/** Counters of one transition's random numbers: n normals, then a pair of uniforms. */
export function countersPerTransition(n: number): number {
  return Math.ceil(n / 2) + 1;
}
