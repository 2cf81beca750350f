/**
 * Sequential Monte Carlo of a molecule in internal coordinates (Del Moral, Doucet and Jasra, JRSS B
 * 2006): the levels of internal_paths.ts on one population, with systematic resampling whenever the ESS
 * falls below a threshold. The exponential of log Z is unbiased, whatever the float32 errors of V and
 * log q in between: both ends are put right in float64 as there.
 */
import { RandomStream, Stream } from "../math/random.ts";
import type { StartInternal } from "../path/internal_population.ts";
import { type InternalSampler, levelTimes } from "../path/internal_sampler.ts";
import { addIncrement, finiteWeight, internalDraws, InternalEnds } from "./internal_paths.ts";
import type { IslandJob, IslandResult } from "./path_jobs.ts";
import {
  checkIsland,
  incrementSpread,
  lineage,
  populationWeights,
  systematicAncestors,
} from "./smc.ts";

/**
 * Runs one island. Throws InputError for one that is none, RangeError when no sample keeps any weight.
 */
export function runInternalIsland(
  sampler: InternalSampler,
  start: StartInternal,
  job: IslandJob,
): IslandResult {
  checkIsland(job);
  const { seed, island, population: n, threshold, adapt } = job;
  const first = island * n;
  const given = adapt ? null : levelTimes(sampler.model);
  const times: number[] = [];
  const ends = new InternalEnds(sampler, n);
  const { places, lost } = internalDraws(sampler, { seed, first, count: n });
  const population = start(places, { seed, stream: Stream.pathForward, first });
  const random = new RandomStream(seed, Stream.islandResample, island);
  const logWeights = new Float64Array(n);
  ends.leave(0, places, population, logWeights);
  for (const s of lost) logWeights[s] = -Infinity;
  const ancestors = Int32Array.from({ length: n }, (_, s) => s);
  const [ess, spread, acceptance]: number[][] = [[], [], []];
  const resampled: number[] = [];
  let logZ = 0;
  for (let level = 0, t = 0; t < 1; level++) {
    const values = population.values;
    const work = population.logDensities.map((q, s) => -values[s] - q);
    const next = adapt ? nextTime(work, logWeights, t, adapt.conditionalEss) : given![level];
    if (adapt && level + 1 === adapt.maximum && next < 1) {
      throw new RangeError(
        `${adapt.maximum} levels do not reach the target (t = ${next.toPrecision(3)}): ` +
          "allow more, or a smaller conditional ESS",
      );
    }
    const before = logWeights.slice();
    addIncrement(population, next - t, logWeights);
    logWeights.forEach((w, s) => logWeights[s] = finiteWeight(w));
    const now = populationWeights(logWeights);
    if (now.ess === 0) {
      throw new RangeError(`island ${island}: no sample has any weight at level ${level}`);
    }
    ess.push(now.ess);
    spread.push(incrementSpread(now.weights, before, logWeights));
    t = next;
    times.push(t);
    // One number a level, used or not, so that the threshold changes no later random number.
    const offset = random.uniform();
    if (now.ess < threshold) {
      const chosen = systematicAncestors(now.weights, offset);
      population.copy(chosen);
      const origins = ancestors.slice();
      for (let s = 0; s < n; s++) ancestors[s] = origins[chosen[s]];
      logZ += now.logMean;
      logWeights.fill(0);
      resampled.push(level);
    }
    population.transition(level, t);
    acceptance.push(population.accepted.reduce((sum, a) => sum + a, 0) / n);
  }
  ends.arrive(0, population.places(), population, logWeights);
  const { gradients } = population;
  population.dispose();
  logWeights.forEach((w, s) => logWeights[s] = finiteWeight(logZ + w));
  const end = populationWeights(logWeights);
  return {
    positions: ends.positions,
    energies: ends.energies,
    logWeights,
    logZ: end.logMean,
    resampled: Int32Array.from(resampled),
    ess: Float64Array.from(ess),
    spread: Float64Array.from(spread),
    ancestors,
    ...lineage(ancestors, end.weights),
    acceptance: Float64Array.from(acceptance),
    times: Float64Array.from(times),
    cost: { gradients, energies: n, flowPasses: 0 },
  };
}

/**
 * The largest t' at which the conditional ESS of a step, n (Σ W w)²/Σ W w² with w = e^{(t' − t) work}
 * and W the normalised weights so far (Zhou, Johansen and Aston, JCGS 2016), is still as asked.
 */
export function nextTime(
  work: Float64Array,
  logWeights: Float64Array,
  t: number,
  asked: number,
): number {
  const { weights } = populationWeights(logWeights);
  const total = weights.reduce((sum, w) => sum + w, 0);
  const fits = (step: number): boolean => {
    let highest = -Infinity;
    work.forEach((v, s) => {
      if (weights[s] > 0 && step * v > highest) highest = step * v;
    });
    let first = 0, second = 0;
    weights.forEach((weight, s) => {
      const w = Math.exp(step * work[s] - highest);
      if (!(weight > 0 && w > 0)) return; // NaN and −∞ weigh nothing
      first += weight * w;
      second += weight * w * w;
    });
    return first * first / (second * total) >= asked;
  };
  if (fits(1 - t)) return 1;
  let low = 0, high = 1 - t;
  for (let k = 0; k < 40; k++) {
    const middle = (low + high) / 2;
    if (fits(middle)) low = middle;
    else high = middle;
  }
  // Populations that fall apart at once still go on.
  return t + Math.max(low, 1e-6);
}
