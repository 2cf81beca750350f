/**
 * Adaptive levels (Zhou, Johansen and Aston, JCGS 2016): a pilot population goes along a fine path and
 * keeps those of its levels that are as far apart as the conditional ESS allows. The choice is then a
 * fixed schedule, so that runs along it keep an unbiased Z.
 */
import { InputError } from "../errors.ts";
import { RandomStream, Stream } from "../math/random.ts";
import { levelCount } from "../path/model.ts";
import { pickLevels } from "../path/pick.ts";
import { type AdaptLevelsJob, type AdaptLevelsResult, LANES } from "./backend.ts";
import type { ExactParts } from "./exact.ts";
import type { PathBackend } from "./population.ts";
import { populationWeights, systematicAncestors } from "./smc.ts";

/** n-normalised conditional ESS (Σ W u)²/Σ W u², u = e^{U_from − U_to}, W the present weights. */
function conditionalEss(
  weights: Float64Array,
  from: Float64Array,
  to: Float64Array,
): number {
  let least = Infinity;
  const change = to.map((u, s) => u - from[s]);
  for (let s = 0; s < change.length; s++) if (weights[s] > 0) least = Math.min(least, change[s]);
  let total = 0;
  let sum = 0;
  let squares = 0;
  for (let s = 0; s < change.length; s++) {
    total += weights[s];
    const u = Math.exp(least - change[s]);
    if (!(weights[s] > 0) || !(u >= 0)) continue;
    sum += weights[s] * u;
    squares += weights[s] * u * u;
  }
  return squares > 0 ? sum * sum / (total * squares) : 0;
}

export function adaptLevels(
  parts: ExactParts,
  backend: PathBackend,
  job: AdaptLevelsJob,
): AdaptLevelsResult {
  const { population: count, seed } = job;
  if (!(job.conditionalEss > 0 && job.conditionalEss < 1)) {
    throw new InputError(`conditionalEss must be between 0 and 1, got ${job.conditionalEss}`);
  }
  if (!Number.isSafeInteger(count) || count < 2 * LANES || count % LANES !== 0) {
    throw new InputError(
      `population must be a multiple of ${LANES}, at least ${2 * LANES}, got ${count}`,
    );
  }
  const path = { ...parts.path, flow: null };
  const K = levelCount(path);
  const engine = backend.engine(path);
  const population = engine.fromPrior({ seed, first: 0, count });
  const random = new RandomStream(seed, Stream.islandResample, 0);
  const chosen: number[] = [];
  let evaluations = 0;
  let weights: Float64Array = new Float64Array(count).fill(1);
  for (let level = -1; level < K - 1;) {
    if (level >= 0) population.complete();
    const x = population.positions();
    const energies = (k: number) => {
      evaluations += count;
      return engine.evaluate(k, x, count).energies;
    };
    const here = energies(level);
    // The furthest level whose conditional ESS is high enough; at least the next.
    let low = level + 1;
    let high = K - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (conditionalEss(weights, here, energies(middle)) >= job.conditionalEss) low = middle;
      else high = middle - 1;
    }
    level = low;
    chosen.push(level);
    if (chosen.length > job.maximum) {
      throw new InputError(
        `a conditional ESS of ${job.conditionalEss} needs more than ${job.maximum} levels`,
      );
    }
    population.advance(level);
    const now = populationWeights(population.logWeights());
    weights = now.weights;
    if (now.ess < 0.7) {
      population.resample(systematicAncestors(now.weights, random.uniform()));
      weights.fill(1);
    }
  }
  population.dispose();
  engine.dispose();
  const perSample = path.kernel === "adjusted" ? path.leapfrogs + 1 : 1;
  return {
    path: pickLevels(path, Int32Array.from(chosen)),
    levels: Int32Array.from(chosen),
    cost: {
      gradients: count * chosen.length * perSample + evaluations,
      energies: 0,
      flowPasses: 0,
    },
  };
}
