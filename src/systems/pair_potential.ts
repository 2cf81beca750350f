import { sha256 } from "@noble/hashes/sha2.js";
import type { DoubleWellConfig, LennardJonesConfig } from "../config/config.ts";
import type { PairKernel, System } from "./system.ts";

/** Value of a pair term: [u, u′/r]. */
export type PairTerm = Float64Array;

/** What distinguishes one pair potential from another. */
export interface PairPotentialParts {
  readonly config: DoubleWellConfig | LennardJonesConfig;
  readonly dimension: 2 | 3;
  readonly lengthScale: number;
  readonly definition: string;
  readonly pairKernel: PairKernel;
  /** k of ½ k Σ_i |x_i − x_com|²; 0 for none. */
  readonly oscillator: number;
  /** Writes u(r, t) and u′(r, t)/r of one pair, given r². */
  readonly pair: (squaredDistance: number, t: number, out: PairTerm) => void;
  /** u(r) = u(r, 1) alone, given r², where it costs less. */
  readonly pairEnergy?: (squaredDistance: number) => number;
}

/**
 * A system of N identical particles: U_t(x) = Σ_{i<j} u(|x_i − x_j|, t) + ½ k Σ_i |x_i − x_com|²,
 * each pair once. Plain float64, written for clarity: the oracle of assembly/pair_energies.ts.
 */
export class PairPotential implements System {
  readonly name: string;
  readonly config: DoubleWellConfig | LennardJonesConfig;
  readonly particles: number;
  readonly dimension: 2 | 3;
  readonly degreesOfFreedom: number;
  readonly identicalParticles: readonly (readonly number[])[];
  readonly lengthScale: number;
  readonly definition: string;
  readonly hash: string;
  readonly pairKernel: PairKernel;
  readonly #oscillator: number;
  readonly #pair: PairPotentialParts["pair"];
  readonly #pairEnergy: PairPotentialParts["pairEnergy"];
  readonly #term: PairTerm = new Float64Array(2);

  constructor(parts: PairPotentialParts) {
    const N = parts.config.particles;
    this.name = parts.config.kind;
    this.config = parts.config;
    this.particles = N;
    this.dimension = parts.dimension;
    this.degreesOfFreedom = (N - 1) * parts.dimension;
    this.identicalParticles = [Array.from({ length: N }, (_, i) => i)];
    this.lengthScale = parts.lengthScale;
    this.definition = parts.definition;
    this.hash = definitionHash(parts.definition);
    this.pairKernel = parts.pairKernel;
    this.#oscillator = parts.oscillator;
    this.#pair = parts.pair;
    this.#pairEnergy = parts.pairEnergy;
  }

  energy(positions: Float64Array, t = 1): number {
    const { particles: N, dimension: n } = this;
    const pair = this.#pairEnergy;
    if (!pair || t !== 1 || n !== 3 || positions.length !== N * n) {
      return this.#evaluate(positions, null, t);
    }
    // Written out: the energies of weights are float64, and this is most of their time.
    const x = positions;
    let energy = 0;
    for (let i = 0; i < x.length; i += 3) {
      const [xi, yi, zi] = [x[i], x[i + 1], x[i + 2]];
      for (let j = i + 3; j < x.length; j += 3) {
        const dx = xi - x[j];
        const dy = yi - x[j + 1];
        const dz = zi - x[j + 2];
        energy += pair(dx * dx + dy * dy + dz * dz);
      }
    }
    return energy + this.#confine(x, null);
  }

  energyAndGradient(positions: Float64Array, gradient: Float64Array, t = 1): number {
    return this.#evaluate(positions, gradient, t);
  }

  #evaluate(x: Float64Array, gradient: Float64Array | null, t: number): number {
    const { particles: N, dimension: n } = this;
    const size = N * n;
    if (x.length !== size || (gradient && gradient.length !== size)) {
      throw new RangeError(
        `${this.name}: positions and gradient must have ${size} numbers (N = ${N}, n = ${n}), ` +
          `got ${x.length}${gradient ? ` and ${gradient.length}` : ""}`,
      );
    }
    const term = this.#term;
    gradient?.fill(0);
    let energy = 0;
    for (let i = 0; i < N; i++) {
      for (let j = i + 1; j < N; j++) {
        // Written out: the energies of weights are float64, and this loop is most of their time.
        const dx = x[i * n] - x[j * n];
        const dy = x[i * n + 1] - x[j * n + 1];
        const dz = n === 3 ? x[i * n + 2] - x[j * n + 2] : 0;
        this.#pair(dx * dx + dy * dy + dz * dz, t, term);
        energy += term[0];
        if (!gradient) continue;
        for (let a = 0; a < n; a++) {
          const force = term[1] * (x[i * n + a] - x[j * n + a]);
          gradient[i * n + a] += force;
          gradient[j * n + a] -= force;
        }
      }
    }
    return energy + this.#confine(x, gradient);
  }

  /** ½ k Σ_i |x_i − x_com|² and its gradient k (x_i − x_com). */
  #confine(x: Float64Array, gradient: Float64Array | null): number {
    const k = this.#oscillator;
    if (k === 0) return 0;
    const { particles: N, dimension: n } = this;
    let squares = 0;
    for (let a = 0; a < n; a++) {
      let centre = 0;
      for (let i = 0; i < N; i++) centre += x[i * n + a];
      centre /= N;
      for (let i = 0; i < N; i++) {
        const d = x[i * n + a] - centre;
        squares += d * d;
        if (gradient) gradient[i * n + a] += k * d;
      }
    }
    return 0.5 * k * squares;
  }
}

/** First 16 hexadecimal digits of SHA-256 of a definition (UTF-8). */
export function definitionHash(definition: string): string {
  return sha256(new TextEncoder().encode(definition)).toHex().slice(0, 16);
}
