/** The jobs of path_jobs.ts on a backend's populations; shared by all backends, weights in float64. */
import { gradientsPerSample, levelCount, type PathModel } from "../path/model.ts";
import { adaptLevels } from "./adapt_levels.ts";
import type {
  AdaptLevelsJob,
  AdaptLevelsResult,
  ChainsJob,
  ChainsResult,
  FlowFitJob,
  FlowFitResult,
  IslandJob,
  IslandResult,
  PathCost,
  PathExecutor,
  PathJob,
  PathResult,
} from "./backend.ts";
import { runChains } from "./chains.ts";
import type { ExactParts } from "./exact.ts";
import { fitFlow } from "./fit_flow.ts";
import type { PathBackend } from "./population.ts";
import { runIsland } from "./smc.ts";

/** Samples that move together: few enough for a core's cache. */
const CHUNK = 512;

/** Cost of `count` samples along a whole path, with the target's energy at the end. */
export function pathCost(path: PathModel, count: number): PathCost {
  return {
    gradients: count * gradientsPerSample(path),
    energies: count,
    flowPasses: path.flow ? count * levelCount(path) : 0,
  };
}

export class PathJobs implements PathExecutor {
  readonly #parts: ExactParts;
  readonly #backend: PathBackend;

  constructor(parts: ExactParts, backend: PathBackend) {
    this.#parts = parts;
    this.#backend = backend;
  }

  paths(job: PathJob): PathResult {
    const path = this.#parts.path;
    const { count } = job;
    const size = this.#parts.size;
    const K = levelCount(path);
    const result = {
      positions: new Float32Array(count * size),
      energies: new Float64Array(count),
      logWeights: new Float64Array(count),
      priorPositions: new Float32Array(count * size),
      acceptance: new Float64Array(path.kernel === "adjusted" ? K : 0),
      increments: job.keepIncrements && job.direction === "forward"
        ? new Float64Array(K * count)
        : undefined,
      cost: pathCost(path, count),
    };
    const engine = this.#backend.engine(path);
    for (let from = 0; from < count; from += CHUNK) {
      const part = { ...job, first: job.first + from, count: Math.min(CHUNK, count - from) };
      const at = from * size;
      const end = at + part.count * size;
      const population = job.direction === "forward"
        ? engine.fromPrior(part)
        : engine.fromTarget(part, job.positions!.slice(at, end));
      (job.direction === "forward" ? result.priorPositions : result.positions)
        .set(population.positions(), at);
      for (let step = 0; step < K; step++) {
        const level = job.direction === "forward" ? step : K - 1 - step;
        if (job.direction === "forward") population.advance(level);
        else population.retreat(level);
        if (result.acceptance.length) result.acceptance[level] += population.accepted / count;
        if (result.increments) {
          const weights = population.logWeights();
          for (let s = 0; s < part.count; s++) {
            result.increments[level * count + from + s] = weights[s];
          }
        }
      }
      if (job.direction === "forward") population.complete();
      (job.direction === "forward" ? result.positions : result.priorPositions)
        .set(population.positions(), at);
      result.logWeights.set(population.accumulated(), from);
      population.dispose();
    }
    engine.dispose();
    weighPaths(this.#parts, job, result, K);
    return result;
  }

  island(job: IslandJob): IslandResult {
    return runIsland(this.#parts, this.#backend, job);
  }

  fitFlow(job: FlowFitJob): FlowFitResult {
    return fitFlow(this.#parts, this.#backend, job);
  }

  adaptLevels(job: AdaptLevelsJob): AdaptLevelsResult {
    return adaptLevels(this.#parts, this.#backend, job);
  }

  chains(job: ChainsJob): ChainsResult {
    return runChains(this.#parts, this.#backend, job);
  }
}

/**
 * The end of paths in float64: U at the target end, and log-weights W + U (in `result`) become W.
 * Anything that is not a number weighs nothing.
 */
export function weighPaths(
  parts: ExactParts,
  { direction, count }: PathJob,
  result: PathResult,
  K: number,
): void {
  result.energies.set(parts.targetEnergies(result.positions, count));
  const density = direction === "backward"
    ? parts.pathPriorLogDensity(result.priorPositions, count)
    : null;
  for (let s = 0; s < count; s++) {
    const w = result.logWeights[s] - result.energies[s] - (density ? density[s] : 0);
    result.logWeights[s] = Number.isFinite(w) ? w : -Infinity;
  }
  if (result.increments) difference(result.increments, result.logWeights, K);
}

/** Log-weights after each level (K, count) become what each level added; the last row takes W. */
function difference(rows: Float64Array, logWeights: Float64Array, K: number): void {
  const count = logWeights.length;
  rows.set(logWeights, (K - 1) * count);
  for (let k = K - 1; k > 0; k--) {
    for (let s = 0; s < count; s++) rows[k * count + s] -= rows[(k - 1) * count + s];
  }
}
