/**
 * Adjusted annealing of molecules in internal coordinates: from a prior q to p ∝ e^{−V} along
 * U_t = (1 − t)(−log q) + t V, one transition a level. The weight is exact for any force, step and
 * number of levels:
 *
 *   W = Σ_k (t_k − t_{k−1}) (−V(z_{k−1}) − log q(z_{k−1})), E[e^W] = ∫ e^{−V} dz = Z/8π².
 *
 * A backend's V and log q may be float32: any two fixed functions will do in between, as long as both
 * ends are put right in float64,
 *
 *   W += (log q₃₂ − log q)(z_0) + (V₃₂ − V)(z_K).
 */
import { RandomStream, Stream } from "../math/random.ts";
import type { InternalPopulation, StartInternal } from "../path/internal_population.ts";
import { type InternalSampler, levelTimes, LOG_ROTATIONS } from "../path/internal_sampler.ts";
import type { PathJob, PathResult } from "./path_jobs.ts";

/** Samples that move together: few enough for a core's cache. */
const CHUNK = 64;

/**
 * Both ends of `count` samples as a result wants them, the root atom at the origin, and what they add to
 * the log-weights: −log q at the prior's end and −V at the target's in float64, log 8π² included, less
 * what a population took them for (nothing without one).
 */
export class InternalEnds {
  readonly positions: Float32Array;
  readonly priorPositions: Float32Array;
  /** U at the target's end, float64. */
  readonly energies: Float64Array;
  readonly #sampler: InternalSampler;
  readonly #x: Float64Array;

  constructor(sampler: InternalSampler, count: number) {
    const size = 3 * sampler.energy.coordinates.atoms;
    this.#sampler = sampler;
    this.#x = new Float64Array(size);
    this.positions = new Float32Array(count * size);
    this.priorPositions = new Float32Array(count * size);
    this.energies = new Float64Array(count);
  }

  /** The prior's ends of samples from `first` on. */
  leave(
    first: number,
    places: Float64Array,
    population: InternalPopulation | null,
    logWeights: Float64Array,
  ): void {
    const seen = population?.logDensities;
    this.#each(places, logWeights.length, (z, s) => {
      this.#place(this.priorPositions, first + s, z);
      logWeights[s] += (seen ? seen[s] : 0) - this.#sampler.prior.logDensity(z);
    });
  }

  /** The target's ends. */
  arrive(
    first: number,
    places: Float64Array,
    population: InternalPopulation | null,
    logWeights: Float64Array,
  ): void {
    const { energy } = this.#sampler;
    const seen = population?.values;
    this.#each(places, logWeights.length, (z, s) => {
      this.#place(this.positions, first + s, z);
      const value = energy.value(z);
      this.energies[first + s] = value + energy.coordinates.logJacobian(z); // V = U − log J
      logWeights[s] += (seen ? seen[s] : 0) - value + LOG_ROTATIONS;
    });
  }

  #each(places: Float64Array, count: number, use: (z: Float64Array, s: number) => void): void {
    const n = this.#sampler.energy.coordinates.size;
    for (let s = 0; s < count; s++) use(places.subarray(s * n, (s + 1) * n), s);
  }

  #place(out: Float32Array, s: number, z: Float64Array): void {
    this.#sampler.energy.coordinates.toCartesian(z, this.#x);
    out.set(this.#x, s * this.#x.length);
  }
}

/**
 * Draws of samples first … first + count − 1, (count, n), float32 values; one that left the domain is
 * shown as the reference geometry, its number is in `lost`: it weighs nothing.
 */
export function internalDraws(
  { prior, reference, energy: { coordinates } }: InternalSampler,
  { seed, first, count }: { seed: number; first: number; count: number },
): { places: Float64Array; lost: Set<number> } {
  const n = coordinates.size;
  const places = new Float64Array(count * n);
  const lost = new Set<number>();
  for (let s = 0; s < count; s++) {
    const drawn = prior.draw(new RandomStream(seed, Stream.prior, first + s));
    const z = Float64Array.from(drawn ?? reference.z, Math.fround);
    if (!drawn || !coordinates.inDomain(z)) lost.add(s);
    places.set(z, s * n);
  }
  return { places, lost };
}

/** logWeights[s] += (t − before)(−V − log q). */
export function addIncrement(
  { values, logDensities }: InternalPopulation,
  step: number,
  logWeights: Float64Array,
): void {
  for (let s = 0; s < logWeights.length; s++) {
    logWeights[s] -= step * (values[s] + logDensities[s]);
  }
}

/** What is not a number weighs nothing. */
export function finiteWeight(logWeight: number): number {
  return Number.isNaN(logWeight) || logWeight === Infinity ? -Infinity : logWeight;
}

/** The `paths` job: `count` samples, forward or backward, each with its own random numbers. */
export function internalPaths(
  sampler: InternalSampler,
  start: StartInternal,
  job: PathJob,
): PathResult {
  const { energy: { coordinates }, model } = sampler;
  const { seed, first, count, direction } = job;
  const n = coordinates.size;
  const size = 3 * coordinates.atoms;
  const forward = direction === "forward";
  const times = levelTimes(model);
  const K = times.length;
  const ends = new InternalEnds(sampler, count);
  const logWeights = new Float64Array(count);
  const acceptance = new Float64Array(K);
  let gradients = 0;
  for (let from = 0; from < count; from += CHUNK) {
    const part = { seed, first: first + from, count: Math.min(CHUNK, count - from) };
    const { places, lost } = forward
      ? internalDraws(sampler, part)
      : { places: given(job.positions!, from, part.count), lost: new Set<number>() };
    const weights = logWeights.subarray(from, from + part.count);
    if (K === 0) {
      ends.leave(from, places, null, weights);
      ends.arrive(from, places, null, weights);
    } else {
      const stream = forward ? Stream.pathForward : Stream.pathBackward;
      const population = start(places, { seed, stream, first: part.first });
      if (forward) ends.leave(from, places, population, weights);
      else ends.arrive(from, places, population, weights);
      for (let step = 0; step < K; step++) {
        const k = forward ? step : K - 1 - step;
        const width = times[k] - (k > 0 ? times[k - 1] : 0);
        if (forward) addIncrement(population, width, weights);
        population.transition(step, times[k]);
        if (!forward) addIncrement(population, width, weights);
        acceptance[k] += population.accepted.reduce((sum, a) => sum + a, 0) / count;
      }
      if (forward) ends.arrive(from, population.places(), population, weights);
      else ends.leave(from, population.places(), population, weights);
      gradients += population.gradients;
      population.dispose();
    }
    weights.forEach((w, s) => weights[s] = lost.has(s) ? -Infinity : finiteWeight(w));
  }
  const { positions, priorPositions, energies } = ends;
  const cost = { gradients, energies: count, flowPasses: 0 };
  return { positions, energies, logWeights, priorPositions, acceptance, cost };

  /** z of given positions, float32 values. */
  function given(positions: Float64Array, from: number, count: number): Float64Array {
    const places = new Float64Array(count * n);
    for (let s = 0; s < count; s++) {
      const at = (from + s) * size;
      const z = sampler.coordinatesOf(positions.slice(at, at + size));
      places.set(z.map(Math.fround), s * n);
    }
    return places;
  }
}
