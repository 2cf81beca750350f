/**
 * Hamiltonian Monte Carlo in float64: one transition, and independent chains on the target. The oracle
 * of assembly/hmc.ts.
 */
import {
  normals,
  Stream,
  streamKey,
  threefry2x32,
  thriftyNormals,
  uniformOfWord,
} from "../../math/random.ts";
import type { System } from "../../systems/system.ts";
import type { ChainPopulation, PopulationOptions } from "../population.ts";
import { clipForce } from "./level_energy.ts";
import { projectGauge } from "./julep.ts";

/** Counters of one level's random numbers: N·n normals and one uniform. */
function countersPerLevel(size: number): number {
  return Math.ceil(size / 2) + 1;
}

const kinetic = (v: Float64Array): number => v.reduce((sum, p) => sum + 0.5 * p * p, 0);

/**
 * One HMC transition for exp(−U): velocities `v` drawn before, L leapfrogs of dt with a clipped force,
 * accepted when log u < −ΔH. Moves x in place.
 */
export function hmcTransition(
  energyAndGradient: (x: Float64Array, gradient: Float64Array) => number,
  x: Float64Array,
  v: Float64Array,
  dt: number,
  leapfrogs: number,
  uniform: number,
  particles: number,
  clip: number,
): { before: number; after: number; acceptance: number } {
  const gradient = new Float64Array(x.length);
  const y = x.slice();
  const before = energyAndGradient(y, gradient);
  clipForce(gradient, particles, clip);
  const start = kinetic(v);
  let proposed = before;
  for (let step = 0; step < leapfrogs; step++) {
    for (let a = 0; a < y.length; a++) v[a] -= 0.5 * dt * gradient[a];
    for (let a = 0; a < y.length; a++) y[a] += dt * v[a];
    proposed = energyAndGradient(y, gradient);
    clipForce(gradient, particles, clip);
    for (let a = 0; a < y.length; a++) v[a] -= 0.5 * dt * gradient[a];
  }
  const gain = before + start - proposed - kinetic(v);
  // A proposal that is not a number is refused.
  const accept = Math.log(uniform) < gain;
  if (accept) x.set(y);
  return {
    before,
    after: accept ? proposed : before,
    acceptance: Number.isNaN(gain) ? 0 : Math.min(1, Math.exp(gain)),
  };
}

/** Standard normals of a level without a centre-of-mass part, and its uniform. */
export class LevelNoise {
  readonly #key: readonly [number, number];
  readonly #particles: number;
  readonly #perLevel: number;
  readonly #words = new Uint32Array(2);

  constructor(seed: number, stream: Stream, particles: number, size: number) {
    this.#key = streamKey(seed, stream);
    this.#particles = particles;
    this.#perLevel = countersPerLevel(size);
  }

  normals(out: Float64Array, sample: number, level: number): void {
    normals(out, this.#key, sample, level * this.#perLevel);
    projectGauge(out, this.#particles, "centre_of_mass");
  }

  /**
   * out.length/N columns of N normals without a mean, of N − 1 thrifty ones each, z: z_N = Σ z/(√N − 1), then
   * the mean is taken off (a Householder reflection, so that they are N(0, 1 − 11ᵀ/N)).
   */
  centred(out: Float64Array, sample: number, level: number): void {
    const N = this.#particles;
    const n = out.length / N;
    const drawn = out.subarray(0, out.length - n);
    thriftyNormals(drawn, this.#key, sample, level * this.#perLevel);
    for (let axis = 0; axis < n; axis++) {
      let sum = 0;
      for (let a = axis; a < drawn.length; a += n) sum += drawn[a];
      out[drawn.length + axis] = sum / (Math.sqrt(N) - 1);
    }
    projectGauge(out, N, "centre_of_mass");
  }

  /** The two uniforms of a level. */
  uniforms(sample: number, level: number): [number, number] {
    const counter = (level + 1) * this.#perLevel - 1;
    threefry2x32(this.#key[0], this.#key[1], sample, counter, this.#words);
    return [uniformOfWord(this.#words[0]), uniformOfWord(this.#words[1])];
  }
}

/** Time steps of chains are jittered by up to this fraction, against periodic orbits. */
export const CHAIN_JITTER = 0.2;

export class ReferenceChains implements ChainPopulation {
  readonly acceptance: Float64Array;
  readonly #system: System;
  readonly #first: number;
  readonly #noise: LevelNoise;
  readonly #x: Float64Array[];

  constructor(system: System, options: PopulationOptions, positions: Float64Array) {
    const size = system.particles * system.dimension;
    this.#system = system;
    this.#first = options.first;
    this.#noise = new LevelNoise(options.seed, Stream.chain, system.particles, size);
    this.acceptance = new Float64Array(options.count);
    this.#x = Array.from({ length: options.count }, (_, s) => {
      const x = positions.slice(s * size, (s + 1) * size);
      projectGauge(x, system.particles, "centre_of_mass");
      return x;
    });
  }

  transition(step: number, stepSizes: Float64Array, leapfrogs: number): void {
    const system = this.#system;
    for (let s = 0; s < this.#x.length; s++) {
      const v = new Float64Array(this.#x[s].length);
      this.#noise.normals(v, this.#first + s, step);
      const [uniform, jitter] = this.#noise.uniforms(this.#first + s, step);
      const { acceptance } = hmcTransition(
        (x, gradient) => system.energyAndGradient(x, gradient),
        this.#x[s],
        v,
        stepSizes[s] * (1 + CHAIN_JITTER * (2 * jitter - 1)),
        leapfrogs,
        uniform,
        system.particles,
        0,
      );
      this.acceptance[s] = acceptance;
    }
  }

  positions(): Float32Array {
    const size = this.#system.particles * this.#system.dimension;
    const out = new Float32Array(this.#x.length * size);
    this.#x.forEach((x, s) => out.set(x, s * size));
    return out;
  }

  dispose(): void {}
}
