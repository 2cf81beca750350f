/**
 * Sequential Monte Carlo on one population (Del Moral, Doucet and Jasra, JRSS B 2006): levels, and
 * systematic resampling whenever the ESS falls below a threshold. log Z is the sum of the logs of the
 * mean weights between resamplings; its exponential is unbiased. Weights in float64.
 */
import { RandomStream, Stream } from "../math/random.ts";
import { levelCount } from "../path/model.ts";
import type { IslandJob, IslandResult, PathCost } from "./backend.ts";
import type { ExactParts } from "./exact.ts";
import { pathCost } from "./paths.ts";
import type { PathBackend } from "./population.ts";

/** log of the mean weight, the ESS fraction, and the weights relative to the largest. */
export function populationWeights(
  logWeights: Float64Array,
): { logMean: number; ess: number; weights: Float64Array } {
  let max = -Infinity;
  // NaN compares false: a path that left the numbers weighs nothing.
  for (const w of logWeights) if (w > max && w < Infinity) max = w;
  const weights = new Float64Array(logWeights.length);
  let sum = 0;
  let squares = 0;
  for (let s = 0; s < weights.length; s++) {
    const w = Math.exp(logWeights[s] - max);
    if (!(w <= 1)) continue;
    weights[s] = w;
    sum += w;
    squares += w * w;
  }
  const n = weights.length;
  return {
    logMean: max + Math.log(sum / n),
    ess: squares > 0 ? sum * sum / (n * squares) : 0,
    weights,
  };
}

/**
 * Standard deviation of what a level added to the log-weights, under the weights it led to: samples
 * that it killed do not count.
 */
export function incrementSpread(
  weights: Float64Array,
  before: Float64Array,
  after: Float64Array,
): number {
  let total = 0;
  let mean = 0;
  for (let s = 0; s < weights.length; s++) {
    if (!(weights[s] > 0)) continue;
    total += weights[s];
    mean += weights[s] * (after[s] - before[s]);
  }
  mean /= total;
  let variance = 0;
  for (let s = 0; s < weights.length; s++) {
    if (weights[s] > 0) variance += weights[s] * (after[s] - before[s] - mean) ** 2;
  }
  return Math.sqrt(variance / total);
}

/**
 * Systematic resampling: index i comes ⌊n w̃_i⌋ or ⌈n w̃_i⌉ times, n w̃_i on average. Survivors stay in
 * their places, further copies take those of the others, so that little has to be moved.
 */
export function systematicAncestors(weights: Float64Array, offset: number): Int32Array {
  const n = weights.length;
  const total = weights.reduce((a, w) => a + w, 0);
  const last = weights.findLastIndex((w) => w > 0);
  const copies = new Int32Array(n);
  let cumulative = weights[0];
  for (let k = 0, i = 0; k < n; k++) {
    const level = (k + offset) / n * total;
    while (cumulative < level && i < last) cumulative += weights[++i];
    copies[i]++;
  }
  const ancestors = new Int32Array(n);
  for (let s = 0, from = 0; s < n; s++) {
    if (copies[s] > 0) {
      ancestors[s] = s;
      continue;
    }
    while (copies[from] < 2) from++;
    ancestors[s] = from;
    copies[from]--;
  }
  return ancestors;
}

function islandCost({ population, moves }: IslandJob, path: PathCost, resampled: number): PathCost {
  if (!moves) return path;
  // One gradient more gives the kick at the moved positions.
  const each = moves.transitions * (moves.leapfrogs + 1) + 1;
  return { ...path, gradients: path.gradients + resampled * population * each };
}

/** Runs one island. Throws RangeError when no sample keeps any weight. */
export function runIsland(parts: ExactParts, backend: PathBackend, job: IslandJob): IslandResult {
  const path = parts.path;
  const K = levelCount(path);
  const n = job.population;
  const engine = backend.engine(path);
  const population = engine.fromPrior({ seed: job.seed, first: job.island * n, count: n });
  const random = new RandomStream(job.seed, Stream.islandResample, job.island);
  const ess = new Float64Array(K);
  const acceptance = new Float64Array(path.kernel === "adjusted" ? K : 0);
  const resampled: number[] = [];
  const ancestors = Int32Array.from({ length: n }, (_, s) => s);
  let logZ = 0;
  const spread = new Float64Array(K);
  let before: Float64Array = new Float64Array(n);
  for (let level = 0; level < K; level++) {
    population.advance(level);
    if (acceptance.length) acceptance[level] = population.accepted / n;
    const after = population.logWeights();
    const now = populationWeights(after);
    ess[level] = now.ess;
    spread[level] = incrementSpread(now.weights, before, after);
    before = after;
    // One number a level, used or not, so that the threshold changes no later random number.
    const offset = random.uniform();
    if (now.ess >= job.threshold || level === K - 1) continue;
    if (now.ess === 0) {
      throw new RangeError(`island ${job.island}: no sample has any weight at level ${level}`);
    }
    const chosen = systematicAncestors(now.weights, offset);
    population.resample(chosen);
    before = new Float64Array(n);
    for (let s = 0; s < n; s++) ancestors[s] = ancestors[chosen[s]];
    logZ += now.logMean;
    resampled.push(level);
    if (job.moves) population.move(job.moves);
  }
  population.complete();
  const positions = population.positions();
  const energies = parts.targetEnergies(positions, n);
  const logWeights = population.accumulated();
  for (let s = 0; s < n; s++) {
    const w = logZ + logWeights[s] - energies[s];
    logWeights[s] = Number.isFinite(w) ? w : -Infinity;
  }
  population.dispose();
  engine.dispose();
  const end = populationWeights(logWeights);
  const families = new Float64Array(n);
  for (let s = 0; s < n; s++) families[ancestors[s]] += end.weights[s];
  const total = families.reduce((a, w) => a + w, 0);
  return {
    positions,
    energies,
    logWeights,
    logZ: end.logMean,
    resampled: Int32Array.from(resampled),
    ess,
    spread,
    ancestors,
    distinctAncestors: families.reduce((a, w) => a + (w > 0 ? 1 : 0), 0),
    effectiveAncestors: total ** 2 / families.reduce((a, w) => a + w * w, 0),
    acceptance,
    cost: islandCost(job, pathCost(path, n), resampled.length),
  };
}
