/**
 * Fits the pair flow level by level on the population that moves along the path, resampled on request
 * (docs/method.md section 4). Each level's map is judged by what it does to the actual increment, at scales
 * 1, ½ and 0: a fit that does not help is not used.
 */
import { InputError } from "../errors.ts";
import { RandomStream, Stream } from "../math/random.ts";
import {
  FEATURES,
  FeatureTables,
  fitCoefficients,
  FLOW_CELLS,
  FLOW_WIDTH,
  quantile,
  tableOf,
} from "../path/fit.ts";
import { flowTable, identityFlow } from "../path/flow.ts";
import { levelCount } from "../path/model.ts";
import { type FlowFitJob, type FlowFitResult, LANES } from "./backend.ts";
import type { ExactParts } from "./exact.ts";
import type { PathBackend, PathEngine } from "./population.ts";
import { incrementSpread, populationWeights, systematicAncestors } from "./smc.ts";

/** A square is counted up to this: rare collisions must not rule the line search. */
const LARGEST_SQUARE = 400;
/** A scale that reduces the variance to this fraction is good enough. */
const GOOD = 0.9;

/** Mean of min((d − median)², 400); what is not a number counts in full. */
function robustVariance(values: Float64Array): number {
  const median = quantile(values, 0.5);
  let sum = 0;
  for (const v of values) {
    const square = (v - median) ** 2;
    sum += square <= LARGEST_SQUARE ? square : LARGEST_SQUARE;
  }
  return sum / values.length;
}

export function fitFlow(parts: ExactParts, backend: PathBackend, job: FlowFitJob): FlowFitResult {
  const { population: count, seed, ridge = 1e-3 } = job;
  if (!Number.isSafeInteger(count) || count < 16 * FEATURES / 4 || count % LANES !== 0) {
    throw new InputError(
      `population must be a multiple of ${LANES}, at least ${4 * FEATURES}, got ${count}`,
    );
  }
  const { lengthScale } = parts.system;
  const K = levelCount(parts.path);
  const flow = identityFlow(K, FLOW_CELLS, FLOW_WIDTH * lengthScale);
  const engine = backend.engine({ ...parts.path, flow });
  const population = engine.fromPrior({ seed, first: 0, count });
  const random = new RandomStream(seed, Stream.islandResample, 0);
  const fit = new LevelFit(parts, engine, count, ridge);
  const explained = new Float64Array(K);
  const scale = new Float64Array(K);
  const spread = new Float64Array(K);
  let before: Float64Array = new Float64Array(count);
  for (let level = 0; level < K; level++) {
    if (level > 0) population.complete();
    const found = fit.fit(level, population.positions());
    explained[level] = found.explained;
    scale[level] = found.scale;
    flowTable(flow, level).set(found.table);
    engine.setFlow(level, found.table);
    population.advance(level);
    const after = population.logWeights();
    const now = populationWeights(after);
    spread[level] = incrementSpread(now.weights, before, after);
    before = after;
    const offset = random.uniform();
    if (now.ess >= job.threshold || level === K - 1) continue;
    population.resample(systematicAncestors(now.weights, offset));
    before = new Float64Array(count);
  }
  population.dispose();
  engine.dispose();
  const perSample = parts.path.kernel === "adjusted" ? parts.path.leapfrogs + 1 : 1;
  return {
    flow,
    explained,
    scale,
    spread,
    cost: {
      gradients: count * K * (perSample + 2),
      energies: fit.energies,
      flowPasses: fit.energies + count * K,
    },
  };
}

class LevelFit {
  /** Energies evaluated by line searches. */
  energies = 0;
  readonly #parts: ExactParts;
  readonly #engine: PathEngine;
  readonly #count: number;
  readonly #ridge: number;
  readonly #tables: FeatureTables;
  readonly #identity: Float64Array;

  constructor(parts: ExactParts, engine: PathEngine, count: number, ridge: number) {
    this.#parts = parts;
    this.#engine = engine;
    this.#count = count;
    this.#ridge = ridge;
    const { dimension, lengthScale } = parts.system;
    this.#tables = new FeatureTables(dimension, lengthScale);
    this.#identity = identityFlow(1, FLOW_CELLS, FLOW_WIDTH * lengthScale).tables;
  }

  /** The best table for a level, at positions (count, N, n) before it. */
  fit(
    level: number,
    x: Float32Array,
  ): { table: Float64Array; scale: number; explained: number } {
    const count = this.#count;
    const { dimension, lengthScale } = this.#parts.system;
    const size = this.#parts.size;
    const before = this.#engine.evaluate(level - 1, x, count).energies;
    const here = this.#engine.evaluate(level, x, count);
    const features = new Float64Array(count * FEATURES);
    for (let s = 0; s < count; s++) {
      const at = s * FEATURES;
      this.#tables.add(x, here.gradients, s * size, size, dimension, features, at);
    }
    const target = here.energies.map((u, s) => u - before[s]);
    const plain = robustVariance(target);
    let best = { table: this.#identity, scale: 0, variance: plain };
    const coefficients = fitCoefficients(features, target, null, this.#ridge);
    for (const scale of [1, 0.5]) {
      const table = tableOf(coefficients, scale, lengthScale);
      const after = this.#engine.evaluateAfterFlow(level, table, x, count);
      this.energies += count;
      const variance = robustVariance(after.map((u, s) => u - before[s]));
      if (variance < best.variance) best = { table, scale, variance };
      if (variance < GOOD * plain) break;
    }
    return {
      table: best.table,
      scale: best.scale,
      explained: plain > 0 ? 1 - best.variance / plain : 0,
    };
  }
}
