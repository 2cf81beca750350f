/**
 * Adjusted annealing of molecules in internal coordinates: from a prior q to p along
 * U_t = (1 − t)(−log q) + t V, one Hamiltonian Monte Carlo transition a level, in coordinates whitened
 * by one Cholesky factor. The weight is exact for any force, step and number of levels:
 *
 *   W = Σ_k (t_k − t_{k−1}) (−V(z_{k−1}) − log q(z_{k−1})), E[e^W] = ∫ e^{−V} dz = Z/8π².
 *
 * Forces are those of V alone: leapfrogs conserve volume and are reversible under any force, and the
 * acceptance corrects for U_t. log q is then needed once a level, its gradient never.
 */
import { cholesky } from "../math/linear.ts";
import type { RandomStream } from "../math/random.ts";
import type { InternalDensity } from "../mint/molecule/gaussian.ts";
import type { InternalEnergy } from "../mint/molecule/internal_energy.ts";

export interface InternalPathOptions {
  /** K ≥ 0 levels at t = 1/K, ..., 1; 0 is the prior alone. */
  readonly levels: number;
  /** Leapfrogs of a transition, ≥ 1; 1 is MALA. Each takes one gradient. */
  readonly leapfrogs: number;
  /** Time step in whitened coordinates; every transition varies it by ± 20 %. */
  readonly stepSize: number;
}

export interface InternalSample {
  /** The prior's end; null where its draw left the domain: the weight is zero. */
  readonly start: Float64Array | null;
  /** The target's end. */
  readonly z: Float64Array | null;
  /** V at the target's end; +∞ where there is none. */
  readonly value: number;
  /** W without the 8π² of rotations; −∞ for a draw of no weight. */
  readonly logWeight: number;
  /** Fraction of transitions accepted; NaN without any. */
  readonly acceptance: number;
}

interface State {
  z: Float64Array;
  gradient: Float64Array;
  value: number;
  logDensity: number;
}

export class InternalPath {
  readonly #energy: InternalEnergy;
  readonly #prior: InternalDensity;
  readonly #options: InternalPathOptions;
  readonly #lower: Float64Array;

  constructor(energy: InternalEnergy, prior: InternalDensity, options: InternalPathOptions) {
    this.#energy = energy;
    this.#prior = prior;
    this.#options = options;
    this.#lower = cholesky(prior.localCovariance(), energy.coordinates.size);
  }

  /** One path from a draw of the prior; all its random numbers come from `random`. */
  sample(random: RandomStream): InternalSample {
    const { levels } = this.#options;
    const start = this.#prior.draw(random);
    if (!start) {
      return { start, z: null, value: Infinity, logWeight: -Infinity, acceptance: NaN };
    }
    const state = this.#stateAt(start);
    if (levels === 0) {
      return this.#unmoved(start, state);
    }
    let logWeight = 0;
    let accepted = 0;
    for (let k = 1; k <= levels; k++) {
      logWeight += (-state.value - state.logDensity) / levels;
      if (this.#transition(state, k / levels, random)) accepted++;
    }
    const { z: end, value } = state;
    return { start, z: end, value, logWeight: weight(logWeight), acceptance: accepted / levels };
  }

  /**
   * The same path backwards from a sample z of the target: W with E_p[e^{−W}] = 1/E[e^W]. Its other
   * end is `start`.
   */
  backward(z: Float64Array, random: RandomStream): InternalSample {
    const { levels } = this.#options;
    const state = this.#stateAt(z.slice());
    const from = state.value;
    if (levels === 0) {
      return this.#unmoved(z, state);
    }
    let logWeight = 0;
    let accepted = 0;
    for (let k = levels; k >= 1; k--) {
      if (this.#transition(state, k / levels, random)) accepted++;
      logWeight += (-state.value - state.logDensity) / levels;
    }
    const acceptance = accepted / levels;
    return { start: state.z, z, value: from, logWeight: weight(logWeight), acceptance };
  }

  /** A path without levels. */
  #unmoved(z: Float64Array, { value, logDensity }: State): InternalSample {
    return { start: z, z, value, logWeight: weight(-value - logDensity), acceptance: NaN };
  }

  #stateAt(z: Float64Array): State {
    const gradient = new Float64Array(z.length);
    const value = this.#energy.value(z, gradient);
    const logDensity = Number.isFinite(value) ? this.#prior.logDensity(z) : -Infinity;
    return { z, gradient, value, logDensity };
  }

  /** One HMC transition for U_t, in place; says whether it was accepted. */
  #transition(state: State, t: number, random: RandomStream): boolean {
    const moved = this.#leap(state.z, state.gradient, random);
    const level = Math.log(random.uniform());
    // The prior's part vanishes at t = 1, but the state's log q is wanted all the same.
    const logDensity = Number.isFinite(moved.value) ? this.#prior.logDensity(moved.z) : -Infinity;
    const prior = t < 1 ? (1 - t) * (logDensity - state.logDensity) : 0;
    const difference = prior - t * (moved.value - state.value) - moved.kinetic;
    if (!(level < difference)) return false;
    Object.assign(state, { ...moved, logDensity });
    return true;
  }

  /** Leapfrogs with fresh velocities; the change of kinetic energy with the place reached. */
  #leap(start: Float64Array, startGradient: Float64Array, random: RandomStream) {
    const { leapfrogs, stepSize } = this.#options;
    const n = start.length;
    const h = stepSize * (0.8 + 0.4 * random.uniform());
    const z = start.slice();
    let gradient: Float64Array = startGradient;
    const velocity = new Float64Array(n);
    for (let i = 0; i < n; i++) velocity[i] = random.normal();
    const before = kinetic(velocity);
    let value = Infinity;
    for (let step = 0; step < leapfrogs; step++) {
      this.#kick(velocity, gradient, h / 2);
      for (let i = 0; i < n; i++) {
        let sum = 0;
        for (let j = 0; j <= i; j++) sum += this.#lower[i * n + j] * velocity[j];
        z[i] += h * sum;
      }
      gradient = new Float64Array(n);
      value = this.#energy.value(z, gradient);
      if (!Number.isFinite(value)) break; // out of the domain: refused whatever follows
      this.#kick(velocity, gradient, h / 2);
    }
    return { z, gradient, value, kinetic: kinetic(velocity) - before };
  }

  /** v −= τ Lᵀ ∇V. */
  #kick(velocity: Float64Array, gradient: Float64Array, tau: number): void {
    const n = velocity.length;
    for (let i = 0; i < n; i++) {
      const g = tau * gradient[i];
      for (let j = 0; j <= i; j++) velocity[j] -= this.#lower[i * n + j] * g;
    }
  }
}

function kinetic(velocity: Float64Array): number {
  let sum = 0;
  for (const v of velocity) sum += v * v;
  return 0.5 * sum;
}

/** What is not a number weighs nothing. */
function weight(logWeight: number): number {
  return Number.isNaN(logWeight) || logWeight === Infinity ? -Infinity : logWeight;
}
