/** Populations of molecules in internal coordinates, float64: the oracle of assembly/internal_path.ts. */
import { cholesky } from "../../math/linear.ts";
import { normals, streamKey, threefry2x32, uniformOfWord } from "../../math/random.ts";
import type { InternalDensity } from "../../mint/molecule/gaussian.ts";
import type { InternalEnergy } from "../../mint/molecule/internal_energy.ts";
import {
  countersPerTransition,
  type InternalPopulation,
  type InternalPopulationOptions,
  STEP_JITTER,
} from "../../path/internal_population.ts";
import type { InternalSampler } from "../../path/internal_sampler.ts";

interface State {
  z: Float64Array;
  gradient: Float64Array;
  value: number;
  logDensity: number;
}

export class ReferenceInternalPopulation implements InternalPopulation {
  readonly count: number;
  readonly accepted: Float64Array;
  gradients = 0;
  readonly #energy: InternalEnergy;
  readonly #prior: InternalDensity;
  readonly #leapfrogs: number;
  readonly #stepSize: number;
  readonly #lower: Float64Array;
  readonly #key: readonly [number, number];
  readonly #first: number;
  readonly #states: State[];

  constructor(
    { energy, prior, model: { leapfrogs, stepSize } }: InternalSampler,
    places: Float64Array,
    { seed, stream, first }: InternalPopulationOptions,
  ) {
    const n = energy.coordinates.size;
    this.#energy = energy;
    this.#prior = prior;
    this.#leapfrogs = leapfrogs;
    this.#stepSize = stepSize;
    this.#lower = cholesky(prior.localCovariance(), n);
    this.#key = streamKey(seed, stream);
    this.#first = first;
    this.count = places.length / n;
    this.accepted = new Float64Array(this.count);
    this.#states = Array.from({ length: this.count }, (_, s) => {
      const z = places.slice(s * n, (s + 1) * n);
      const gradient = new Float64Array(n);
      const value = this.#value(z, gradient);
      const logDensity = Number.isFinite(value) ? prior.logDensity(z) : -Infinity;
      return { z, gradient, value, logDensity };
    });
  }

  get values(): Float64Array {
    return Float64Array.from(this.#states, ({ value }) => value);
  }

  get logDensities(): Float64Array {
    return Float64Array.from(this.#states, ({ logDensity }) => logDensity);
  }

  transition(step: number, t: number): void {
    this.#states.forEach((state, s) => {
      this.accepted[s] = this.#move(state, this.#first + s, step, t) ? 1 : 0;
    });
  }

  copy(ancestors: Int32Array): void {
    ancestors.forEach((from, s) => {
      if (from !== s) this.#states[s] = { ...this.#states[from] };
    });
  }

  places(): Float64Array {
    return Float64Array.from(this.#states.flatMap(({ z }) => [...z]));
  }

  dispose(): void {}

  #value(z: Float64Array, gradient: Float64Array): number {
    this.gradients++;
    return this.#energy.value(z, gradient);
  }

  /** One HMC transition for U_t, in place; says whether it was accepted. */
  #move(state: State, sample: number, step: number, t: number): boolean {
    const n = state.z.length;
    const counter = step * countersPerTransition(n);
    const velocity = new Float64Array(n);
    normals(velocity, this.#key, sample, counter);
    const words = new Uint32Array(2);
    const last = counter + countersPerTransition(n) - 1;
    threefry2x32(this.#key[0], this.#key[1], sample, last, words);
    const jitter = 1 + STEP_JITTER * (2 * uniformOfWord(words[1]) - 1);
    const moved = this.#leap(state, velocity, this.#stepSize * jitter);
    // The prior's part vanishes at t = 1, but the state's log q is wanted all the same.
    const logDensity = Number.isFinite(moved.value) ? this.#prior.logDensity(moved.z) : -Infinity;
    const prior = t < 1 ? (1 - t) * (logDensity - state.logDensity) : 0;
    const difference = prior - t * (moved.value - state.value) - moved.kinetic;
    if (!(Math.log(uniformOfWord(words[0])) < difference)) return false;
    const { z, gradient, value } = moved;
    Object.assign(state, { z, gradient, value, logDensity });
    return true;
  }

  /** Leapfrogs of time step h; the change of kinetic energy with the place reached. */
  #leap(start: State, velocity: Float64Array, h: number) {
    const n = velocity.length;
    const z = start.z.slice();
    let gradient = start.gradient;
    const before = kinetic(velocity);
    let value = Infinity;
    for (let step = 0; step < this.#leapfrogs; step++) {
      this.#kick(velocity, gradient, h / 2);
      for (let i = 0; i < n; i++) {
        let sum = 0;
        for (let j = 0; j <= i; j++) sum += this.#lower[i * n + j] * velocity[j];
        z[i] += h * sum;
      }
      gradient = new Float64Array(n);
      value = this.#value(z, gradient);
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
