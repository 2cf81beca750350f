/** Equally weighted samples from weighted ones. */
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
  const offset = new RandomStream(seed, Stream.resample, 0).uniform();
  const chosen = new Uint32Array(count);
  let cumulative = weights[0];
  for (let k = 0, i = 0; k < count; k++) {
    const level = (k + offset) / count;
    while (cumulative < level && i < last) cumulative += weights[++i];
    chosen[k] = i;
  }
  return chosen;
}

/**
 * `count` equally weighted configurations of `size` numbers each. Their identical particles
 * relabelled at random (drawBackward does it), they stand in for reference samples where there are
 * none: p does not change, and backward paths from them show labellings the sampler misses. What it
 * misses under every labelling stays unseen.
 */
export function resampledPositions(
  positions: Float32Array | Float64Array,
  logWeights: Float64Array,
  size: number,
  count: number,
  seed: number,
): Float64Array {
  const chosen = new Float64Array(count * size);
  systematicResample(logWeights, count, seed).forEach((sample, k) => {
    chosen.set(positions.subarray(sample * size, (sample + 1) * size), k * size);
  });
  return chosen;
}
