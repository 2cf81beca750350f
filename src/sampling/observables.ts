/** Averages and distributions of weighted configurations. */
import { normalisedWeights, weightedMean } from "./weights.ts";
import { systematicResample } from "./resample.ts";

type Numbers = Float32Array | Float64Array;

/** All pair distances, (n, N(N−1)/2) in the order (0,1), (0,2), ..., (1,2), ... */
export function pairDistances(
  positions: Numbers,
  particles: number,
  dimension: number,
): Float64Array {
  const samples = positions.length / (particles * dimension);
  const out = new Float64Array(samples * particles * (particles - 1) / 2);
  let next = 0;
  for (let s = 0; s < samples; s++) {
    const base = s * particles * dimension;
    for (let i = 0; i < particles; i++) {
      for (let j = i + 1; j < particles; j++) {
        let squared = 0;
        for (let a = 0; a < dimension; a++) {
          squared += (positions[base + i * dimension + a] - positions[base + j * dimension + a]) **
            2;
        }
        out[next++] = Math.sqrt(squared);
      }
    }
  }
  return out;
}

/** ⟨ mean over pairs of |x_i − x_j| ⟩ and its standard error; null log-weights: all equal. */
export function meanPairDistance(
  positions: Numbers,
  particles: number,
  dimension: number,
  logWeights: Float64Array | null,
): { mean: number; standardError: number } {
  return weightedMean(meanDistances(positions, particles, dimension), logWeights);
}

/** The mean over pairs of |x_i − x_j| of every configuration. */
export function meanDistances(
  positions: Numbers,
  particles: number,
  dimension: number,
): Float64Array {
  const pairs = particles * (particles - 1) / 2;
  const distances = pairDistances(positions, particles, dimension);
  const means = new Float64Array(distances.length / pairs);
  distances.forEach((d, i) => means[Math.floor(i / pairs)] += d / pairs);
  return means;
}

/** ⟨U⟩ and its standard error. */
export function meanEnergy(
  energies: Float64Array,
  logWeights: Float64Array | null,
): { mean: number; standardError: number } {
  return weightedMean(energies, logWeights);
}

/**
 * ∫₀¹ |F_a⁻¹(u) − F_b⁻¹(u)|² du: the squared one-dimensional Wasserstein-2 distance of two weighted
 * sets. Weights need not be normalised; null: all equal.
 */
export function squaredWasserstein2(
  a: Numbers,
  weightsA: Float64Array | null,
  b: Numbers,
  weightsB: Float64Array | null,
): number {
  const [p, q] = [sortedSet(a, weightsA), sortedSet(b, weightsB)];
  let i = 0, j = 0, u = 0, sum = 0;
  while (i < p.values.length && j < q.values.length) {
    const next = Math.min(p.cumulative[i], q.cumulative[j]);
    if (next > u) sum += (next - u) * (p.values[i] - q.values[j]) ** 2;
    u = Math.max(u, next);
    // Advance both where they end together, so that rounding leaves no sliver of either.
    const [endA, endB] = [p.cumulative[i] <= next, q.cumulative[j] <= next];
    if (endA) i++;
    if (endB) j++;
  }
  return sum;
}

function sortedSet(values: Numbers, weights: Float64Array | null) {
  const order = Array.from(values.keys()).filter((i) => !weights || weights[i] > 0)
    .sort((i, j) => values[i] - values[j]);
  const cumulative = new Float64Array(order.length);
  let total = 0;
  order.forEach((i, k) => cumulative[k] = total += weights ? weights[i] : 1);
  return {
    values: Float64Array.from(order, (i) => values[i]),
    cumulative: cumulative.map((c, k) => k === order.length - 1 ? 1 : c / total),
  };
}

/** A distance between two sets of n samples each. */
export interface SetDistance {
  value: number;
  /** false: W2 in the unit of the quantity; true: W2², in its square. */
  squared: boolean;
  /** Samples of either set. Without it the value means nothing: it shrinks with n. */
  n: number;
  /** The same between two disjoint sets of n reference samples (null when there are too few). */
  noiseFloor: number | null;
}

const evenly = (total: number, n: number, offset = 0) =>
  Array.from({ length: n }, (_, k) => Math.floor((k + offset) * total / n));

/** n equal-weight samples of each set, and two disjoint ones of the reference. */
function subsamples(
  count: number,
  logWeights: Float64Array | null,
  referenceCount: number,
  n: number,
  seed: number,
) {
  const size = Math.min(n, count, referenceCount);
  return {
    n: size,
    own: logWeights ? Array.from(systematicResample(logWeights, size, seed)) : evenly(count, size),
    reference: evenly(referenceCount, size),
    other: referenceCount >= 2 * size ? evenly(referenceCount, size, 0.5) : null,
  };
}

/**
 * Energy-W2: the Wasserstein-2 distance of the energy distributions, WITH the square root (some
 * codes leave it out), between n resampled weighted samples and n evenly spaced reference samples.
 *
 * @param n at most this many of each; fewer where a set is smaller
 */
export function energyW2(
  energies: Float64Array,
  logWeights: Float64Array | null,
  reference: Float64Array,
  { n = 1000, seed = 0 }: { n?: number; seed?: number } = {},
): SetDistance {
  const sets = subsamples(energies.length, logWeights, reference.length, n, seed);
  const pick = (from: Float64Array, which: number[]) => Float64Array.from(which, (i) => from[i]);
  const b = pick(reference, sets.reference);
  const w2 = (a: Float64Array) => Math.sqrt(squaredWasserstein2(a, null, b, null));
  return {
    value: w2(pick(energies, sets.own)),
    squared: false,
    n: sets.n,
    noiseFloor: sets.other && w2(pick(reference, sets.other)),
  };
}

/**
 * Energy-W2, with the square root, of all weighted samples and the whole reference: what `energyW2` of 1,000
 * each finds on LJ-13 is half its own noise. `halves`: the same of every other reference sample and the rest,
 * more than a perfect sampler's where it has as many samples (null for fewer than two).
 *
 * @param energies (n), with log-weights (n), null: all equal
 * @param reference (m), in the same unit as `energies`, which is that of the result
 */
export function wholeEnergyW2(
  energies: Float64Array,
  logWeights: Float64Array | null,
  reference: Float64Array,
): { value: number; halves: number | null } {
  const weights = logWeights && normalisedWeights(logWeights);
  const half = (rest: number) => reference.filter((_, i) => i % 2 === rest);
  return {
    value: Math.sqrt(squaredWasserstein2(energies, weights, reference, null)),
    halves: reference.length < 2
      ? null
      : Math.sqrt(squaredWasserstein2(half(0), null, half(1), null)),
  };
}

/**
 * Distance-W2: the SQUARED Wasserstein-2 distance, as printed in the literature, of the
 * distributions of all pair distances of n configurations each.
 */
export function distanceW2(
  positions: Numbers,
  logWeights: Float64Array | null,
  reference: Numbers,
  { particles, dimension }: { particles: number; dimension: number },
  { n = 1000, seed = 0 }: { n?: number; seed?: number } = {},
): SetDistance {
  const size = particles * dimension;
  const sets = subsamples(positions.length / size, logWeights, reference.length / size, n, seed);
  const distances = (from: Numbers, which: number[]) => {
    const chosen = new Float64Array(which.length * size);
    which.forEach((s, k) => chosen.set(from.subarray(s * size, (s + 1) * size), k * size));
    return pairDistances(chosen, particles, dimension);
  };
  const b = distances(reference, sets.reference);
  const w2 = (a: Float64Array) => squaredWasserstein2(a, null, b, null);
  return {
    value: w2(distances(positions, sets.own)),
    squared: true,
    n: sets.n,
    noiseFloor: sets.other && w2(distances(reference, sets.other)),
  };
}

/** A normalised histogram: ∫ density = the share of the weight inside [edges[0], edges[bins]]. */
export interface Histogram {
  /** Length bins + 1, equally spaced. */
  edges: Float64Array;
  /** Length bins, per unit of the value. */
  density: Float64Array;
}

/**
 * Weighted histogram on [low, high). Several values may belong to one weight (the pairs of a
 * configuration): values.length must be a multiple of logWeights.length. Values outside the range
 * or not finite are in no bin, but their weight counts in the normalisation.
 */
export function weightedHistogram(
  values: Numbers,
  logWeights: Float64Array | null,
  { low, high, bins }: { low: number; high: number; bins: number },
): Histogram {
  const perWeight = logWeights ? values.length / logWeights.length : 1;
  if (!Number.isInteger(perWeight)) {
    throw new RangeError(
      `${values.length} values do not divide among ${logWeights?.length} weights`,
    );
  }
  const weights = logWeights && normalisedWeights(logWeights);
  const width = (high - low) / bins;
  const density = new Float64Array(bins);
  for (let i = 0; i < values.length; i++) {
    const bin = Math.floor((values[i] - low) / width);
    if (!(bin >= 0 && bin < bins)) continue;
    const share = weights ? weights[Math.floor(i / perWeight)] / perWeight : 1 / values.length;
    density[bin] += share / width;
  }
  return { edges: Float64Array.from({ length: bins + 1 }, (_, k) => low + k * width), density };
}
