/** Resampling and relabelling of weighted samples. */
import { RandomStream, Stream } from "../math/random.ts";
import { normalisedWeights } from "./weights.ts";

/**
 * Systematic resampling: `count` indices, index i expected count·w̃_i times, in rising order.
 * Throws RangeError when there is no weight.
 */
export function systematicResample(
  logWeights: Float64Array,
  count: number,
  seed: number,
): Uint32Array {
  const weights = normalisedWeights(logWeights);
  const last = weights.findLastIndex((w) => w > 0);
  if (last < 0) throw new RangeError("Cannot resample: no sample has any weight");
  const offset = new RandomStream(seed, Stream.relabel, 0).uniform();
  const chosen = new Uint32Array(count);
  let cumulative = weights[0];
  for (let k = 0, i = 0; k < count; k++) {
    const level = (k + offset) / count;
    while (cumulative < level && i < last) cumulative += weights[++i];
    chosen[k] = i;
  }
  return chosen;
}

/** How identical particles are named in flat positions (n, N, dimension). */
export interface Labelling {
  readonly particles: number;
  readonly dimension: number;
  /** Groups of interchangeable particles. */
  readonly identicalParticles: readonly (readonly number[])[];
}

/** A copy of the positions in which every sample's identical particles are permuted at random. */
export function relabel(
  positions: ArrayLike<number>,
  labelling: Labelling,
  seed: number,
): Float64Array {
  const { particles, dimension, identicalParticles } = labelling;
  const size = particles * dimension;
  const out = Float64Array.from(positions);
  for (let s = 0; s < positions.length / size; s++) {
    const random = new RandomStream(seed, Stream.relabel, s + 1);
    for (const group of identicalParticles) {
      const order = group.slice();
      for (let i = order.length - 1; i > 0; i--) { // Fisher-Yates
        const j = random.integer(i + 1);
        [order[i], order[j]] = [order[j], order[i]];
      }
      group.forEach((particle, i) => {
        for (let a = 0; a < dimension; a++) {
          out[s * size + particle * dimension + a] = positions[s * size + order[i] * dimension + a];
        }
      });
    }
  }
  return out;
}

/**
 * Target samples made without reference data: weighted samples resampled, and their identical
 * particles relabelled at random, which leaves p unchanged. Backward paths from them show labellings
 * the sampler misses; what it misses under every labelling stays unseen.
 */
export function relabelledResample(
  positions: Float32Array | Float64Array,
  logWeights: Float64Array,
  labelling: Labelling,
  count: number,
  seed: number,
): Float64Array {
  const size = labelling.particles * labelling.dimension;
  const chosen = new Float64Array(count * size);
  systematicResample(logWeights, count, seed).forEach((sample, k) => {
    chosen.set(positions.subarray(sample * size, (sample + 1) * size), k * size);
  });
  return relabel(chosen, labelling, seed);
}
