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
  /** Null where the prior's draw left the domain: the weight is zero. */
  readonly z: Float64Array | null;
  /** W without the 8π² of rotations; −∞ for a draw of no weight. */
  readonly logWeight: number;
  /** Fraction of transitions accepted; NaN without any. */
  readonly acceptance: number;
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

  /** One path; all its random numbers come from `random`. */
  sample(random: RandomStream): InternalSample {
    const { levels } = this.#options;
    const energy = this.#energy;
    let z = this.#prior.draw(random);
    if (!z) return { z, logWeight: -Infinity, acceptance: NaN };
    let gradient: Float64Array = new Float64Array(z.length);
    let value = energy.value(z, gradient);
    let logDensity = this.#prior.logDensity(z);
    if (levels === 0) return { z, logWeight: weight(-value - logDensity), acceptance: NaN };
    let logWeight = 0;
    let accepted = 0;
    for (let k = 1; k <= levels; k++) {
      const t = k / levels;
      logWeight += (-value - logDensity) / levels;
      const moved = this.#leap(z, gradient, random);
      const movedValue = moved.value;
      const movedDensity = t < 1 && Number.isFinite(movedValue)
        ? this.#prior.logDensity(moved.z)
        : 0;
      // At t = 1 the prior has no part in it.
      const prior = t < 1 ? (1 - t) * (movedDensity - logDensity) : 0;
      const difference = prior - t * (movedValue - value) - moved.kinetic;
      const level = Math.log(random.uniform());
      if (level < difference) {
        accepted++;
        z = moved.z;
        gradient = moved.gradient;
        value = movedValue;
        logDensity = movedDensity;
      }
    }
    return { z, logWeight: weight(logWeight), acceptance: accepted / levels };
  }

  /** Leapfrogs with fresh velocities; the change of kinetic energy with the place reached. */
  #leap(start: Float64Array, startGradient: Float64Array, random: RandomStream) {
    const { leapfrogs, stepSize } = this.#options;
    const n = start.length;
    const h = stepSize * (0.8 + 0.4 * random.uniform());
    const z = start.slice();
    let gradient = startGradient;
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
