/**
 * Sequential Monte Carlo on one population (Del Moral, Doucet and Jasra, JRSS B 2006): levels, and
 * systematic resampling whenever the ESS falls below a threshold. log Z is the sum of the logs of the
 * mean weights between resamplings; its exponential is unbiased. Weights in float64.
 */
import { RandomStream, Stream } from "../math/random.ts";
import { InputError } from "../errors.ts";
import { levelCount } from "../path/model.ts";
import { type IslandJob, type IslandResult, LANES, type PathCost } from "./backend.ts";
import type { ExactParts } from "./exact.ts";
import { pathCost } from "./paths.ts";
import type { LevelWeights, PathBackend } from "./population.ts";

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

/** The weights after a level that took the log-weights from `before` to `after`. */
export function levelWeights(before: Float64Array, after: Float64Array): LevelWeights {
  const now = populationWeights(after);
  return { ...now, spread: incrementSpread(now.weights, before, after) };
}

/**
 * Systematic resampling: index i comes ⌊n w̃_i⌋ or ⌈n w̃_i⌉ times, n w̃_i on average. Survivors stay in
 * their places, further copies take those of the others, so that little has to be moved.
 */
export function systematicAncestors(weights: Float64Array, offset: number): Int32Array {
  const n = weights.length;
  let total = 0;
  for (let i = 0; i < n; i++) total += weights[i];
  let last = n - 1;
  while (last >= 0 && !(weights[last] > 0)) last--;
  const ancestors = new Int32Array(n);
  // Places whose samples have no copy, and the further copies of others, both in rising order.
  const empty = new Int32Array(n);
  const further = new Int32Array(n);
  let [empties, furthers, cumulative, taken] = [0, 0, 0, 0];
  for (let i = 0; i < n; i++) {
    let upTo = n;
    if (i < last) {
      cumulative += weights[i];
      // As many as there are k < n with (k + offset)/n at most the cumulative weight.
      upTo = Math.floor(cumulative / total * n - offset) + 1;
      if (upTo > n) upTo = n;
    }
    ancestors[i] = i;
    if (upTo === taken) empty[empties++] = i;
    for (taken++; taken < upTo; taken++) further[furthers++] = i;
    taken = upTo;
  }
  for (let k = 0; k < empties; k++) ancestors[empty[k]] = further[k];
  return ancestors;
}

/** Prior draws that have descendants with weight, all descendants of one counted together. */
export function lineage(
  ancestors: Int32Array,
  weights: Float64Array,
): Pick<IslandResult, "distinctAncestors" | "effectiveAncestors"> {
  const families = new Float64Array(weights.length);
  for (let s = 0; s < weights.length; s++) families[ancestors[s]] += weights[s];
  let [distinct, total, squares] = [0, 0, 0];
  for (let f = 0; f < families.length; f++) {
    const w = families[f];
    if (w > 0) distinct++;
    total += w;
    squares += w * w;
  }
  return { distinctAncestors: distinct, effectiveAncestors: total ** 2 / squares };
}

function islandCost({ population, moves }: IslandJob, path: PathCost, resampled: number): PathCost {
  if (!moves) return path;
  // One where the sample stands; a transition's last is that of the next, or of the kick still to come
  // (WebAssembly keeps it; the reference and WGSL evaluate it again).
  const each = moves.transitions * moves.leapfrogs + 1;
  return { ...path, gradients: path.gradients + resampled * population * each };
}

/** Throws InputError, in one line, for an island that is none. */
export function checkIsland(job: IslandJob): void {
  const { population } = job;
  if (!Number.isSafeInteger(population) || population < 2 * LANES || population % LANES !== 0) {
    throw new InputError(
      `population must be a multiple of ${LANES}, at least ${2 * LANES}, got ${population}`,
    );
  }
  if (!(job.threshold >= 0 && job.threshold <= 1)) {
    throw new InputError(`threshold must be from 0 to 1, got ${job.threshold}`);
  }
  const { moves } = job;
  if (moves) {
    for (const field of ["transitions", "leapfrogs"] as const) {
      if (!Number.isSafeInteger(moves[field]) || moves[field] < 1) {
        throw new InputError(`moves.${field} must be an integer >= 1, got ${moves[field]}`);
      }
    }
    if (!(Number.isFinite(moves.stepFactor) && moves.stepFactor > 0)) {
      throw new InputError(`moves.stepFactor must be above 0, got ${moves.stepFactor}`);
    }
  }
}

/** What an island decides, in float64: weights of the levels, when to resample, log Z. */
export class IslandRecord {
  /** log of the product of the mean weights so far. */
  logZ = 0;
  readonly #parts: ExactParts;
  readonly #job: IslandJob;
  readonly #random: RandomStream;
  readonly #levels: number;
  readonly #ess: Float64Array;
  readonly #spread: Float64Array;
  readonly #resampled: number[] = [];
  readonly #ancestors: Int32Array;
  #before: Float64Array;

  constructor(parts: ExactParts, job: IslandJob) {
    const n = job.population;
    this.#parts = parts;
    this.#job = job;
    this.#levels = levelCount(parts.path);
    this.#random = new RandomStream(job.seed, Stream.islandResample, job.island);
    this.#ess = new Float64Array(this.#levels);
    this.#spread = new Float64Array(this.#levels);
    this.#ancestors = new Int32Array(n);
    for (let s = 0; s < n; s++) this.#ancestors[s] = s;
    this.#before = new Float64Array(n);
  }

  /**
   * Takes the log-weights after a level; levels come in order. Returns the ancestors where the
   * population is to be resampled there. Throws RangeError when no sample keeps any weight.
   */
  weigh(level: number, logWeights: Float64Array): Int32Array | null {
    const chosen = this.decide(level, levelWeights(this.#before, logWeights));
    this.#before = chosen ? new Float64Array(logWeights.length) : logWeights;
    return chosen;
  }

  /** The same from weights that the population found itself. */
  decide(level: number, now: LevelWeights): Int32Array | null {
    const { threshold, island } = this.#job;
    this.#ess[level] = now.ess;
    this.#spread[level] = now.spread;
    // One number a level, used or not, so that the threshold changes no later random number.
    const offset = this.#random.uniform();
    if (now.ess >= threshold || level === this.#levels - 1) return null;
    if (now.ess === 0) {
      throw new RangeError(`island ${island}: no sample has any weight at level ${level}`);
    }
    const chosen = now.ancestors?.(offset) ?? systematicAncestors(now.weights, offset);
    // A loop, not Int32Array.from with a function: that took a tenth of a small system's island.
    const before = this.#ancestors.slice();
    for (let s = 0; s < chosen.length; s++) this.#ancestors[s] = before[chosen[s]];
    this.logZ += now.logMean;
    this.#resampled.push(level);
    return chosen;
  }

  /**
   * The result, from positions at the end and W + U of every sample since the last resampling.
   *
   * @param acceptance of every level, (K); empty for underdamped paths
   * @param energies of the target at the positions, float64, where they are known
   */
  result(
    positions: Float32Array,
    accumulated: Float64Array,
    acceptance: Float64Array,
    energies = this.#parts.targetEnergies(positions, this.#job.population),
  ): IslandResult {
    const n = this.#job.population;
    const ancestors = this.#ancestors;
    const logWeights = new Float64Array(n);
    for (let s = 0; s < n; s++) {
      const w = this.logZ + accumulated[s] - energies[s];
      logWeights[s] = Number.isFinite(w) ? w : -Infinity;
    }
    const end = populationWeights(logWeights);
    return {
      positions,
      energies,
      logWeights,
      logZ: end.logMean,
      resampled: Int32Array.from(this.#resampled),
      ess: this.#ess,
      spread: this.#spread,
      ancestors,
      ...lineage(ancestors, end.weights),
      acceptance,
      cost: islandCost(this.#job, pathCost(this.#parts.path, n), this.#resampled.length),
    };
  }
}

/** Runs one island. Throws InputError for one that is none, RangeError when no sample keeps any weight. */
export function runIsland(parts: ExactParts, backend: PathBackend, job: IslandJob): IslandResult {
  checkIsland(job);
  const path = parts.path;
  const K = levelCount(path);
  const n = job.population;
  const record = new IslandRecord(parts, job);
  const engine = backend.engine(path);
  const population = engine.fromPrior({ seed: job.seed, first: job.island * n, count: n });
  const acceptance = new Float64Array(path.kernel === "adjusted" ? K : 0);
  for (let level = 0; level < K; level++) {
    population.advance(level);
    if (acceptance.length) acceptance[level] = population.accepted / n;
    const weights = population.weigh?.();
    const ancestors = weights
      ? record.decide(level, weights)
      : record.weigh(level, population.logWeights());
    if (!ancestors) continue;
    population.resample(ancestors);
    if (job.moves) population.move(job.moves);
  }
  population.complete();
  const result = record.result(
    population.positions(),
    population.accumulated(),
    acceptance,
    population.targetEnergies?.() ?? undefined,
  );
  population.dispose();
  engine.dispose();
  return result;
}
