/** Weighted samples without a network: annealed paths both ways, islands, chains. */
import {
  type ChainsJob,
  type ChainsResult,
  type IslandJob,
  type IslandResult,
  LANES,
  type PathCost,
  type PathJob,
  type PathResult,
} from "../backends/backend.ts";
import type { ChainsConfig, PathConfig } from "../config/config.ts";
import type { System } from "../systems/system.ts";
import { chainStatistics } from "./chain_statistics.ts";
import { relabelledSamples, type WeightedSamples } from "./draw.ts";
import { meanDistances } from "./observables.ts";

/** Runs jobs of one kind; results in job order. */
type Run<Job, Result> = (
  jobs: Job[],
  onResult?: (index: number, result: Result) => void,
) => Promise<Result[]>;

export type RunPaths = Run<PathJob, PathResult>;
export type RunIslands = Run<IslandJob, IslandResult>;
export type RunChains = Run<ChainsJob, ChainsResult>;

interface DrawOptions {
  readonly seed: number;
  /** Called with the number of samples done. */
  readonly onProgress?: (done: number) => void;
}

/** Samples in one job of paths. */
const CHUNK = 64 * LANES;

/** Empty arrays for `count` samples, filled by `put`. */
class Collected {
  readonly positions: Float32Array;
  readonly priorPositions: Float32Array;
  readonly energies: Float64Array;
  readonly logWeights: Float64Array;
  readonly cost: PathCost = { gradients: 0, energies: 0, flowPasses: 0 };
  readonly #size: number;
  readonly #start = performance.now();

  constructor(count: number, size: number) {
    this.#size = size;
    this.positions = new Float32Array(count * size);
    this.priorPositions = new Float32Array(count * size);
    this.energies = new Float64Array(count);
    this.logWeights = new Float64Array(count);
  }

  put(
    at: number,
    result:
      & Partial<Pick<PathResult, "priorPositions" | "logWeights">>
      & Pick<PathResult, "positions" | "energies" | "cost">,
  ): void {
    this.positions.set(result.positions, at * this.#size);
    if (result.priorPositions) this.priorPositions.set(result.priorPositions, at * this.#size);
    this.energies.set(result.energies, at);
    if (result.logWeights) this.logWeights.set(result.logWeights, at);
    this.cost.gradients += result.cost.gradients;
    this.cost.energies += result.cost.energies;
    this.cost.flowPasses += result.cost.flowPasses;
  }

  done(): WeightedSamples {
    const { positions, priorPositions, energies, logWeights, cost } = this;
    const seconds = (performance.now() - this.#start) / 1000;
    return { positions, priorPositions, energies, logWeights, cost, seconds };
  }
}

const sizeOf = (system: System) => system.particles * system.dimension;

async function runPathJobs(
  run: RunPaths,
  jobs: PathJob[],
  count: number,
  size: number,
  onProgress?: (done: number) => void,
): Promise<WeightedSamples> {
  const all = new Collected(count, size);
  let done = 0;
  await run(jobs, (k, result) => {
    all.put(jobs[k].first, result);
    done += jobs[k].count;
    onProgress?.(done);
  });
  return all.done();
}

/** `samples` annealed paths from the prior; sample s depends on (seed, s) alone. */
export function drawPaths(
  run: RunPaths,
  system: System,
  samples: number,
  { seed, onProgress }: DrawOptions,
): Promise<WeightedSamples> {
  const jobs: PathJob[] = [];
  for (let first = 0; first < samples; first += CHUNK) {
    jobs.push({ seed, first, count: Math.min(CHUNK, samples - first), direction: "forward" });
  }
  return runPathJobs(run, jobs, samples, sizeOf(system), onProgress);
}

/** The same paths backward from target samples (count, N·n), identical particles relabelled. */
export function drawPathsBackward(
  run: RunPaths,
  system: System,
  reference: Float64Array,
  { seed, onProgress }: DrawOptions,
): Promise<WeightedSamples> {
  const size = sizeOf(system);
  const samples = reference.length / size;
  const relabelled = relabelledSamples(reference, system, seed);
  const jobs: PathJob[] = [];
  for (let first = 0; first < samples; first += CHUNK) {
    const count = Math.min(CHUNK, samples - first);
    const positions = relabelled.slice(first * size, (first + count) * size);
    jobs.push({ seed, first, count, direction: "backward", positions });
  }
  return runPathJobs(run, jobs, samples, size, onProgress);
}

/** Islands of one population each: as many whole ones as fit into `samples`, at least one. */
export async function drawIslands(
  run: RunIslands,
  system: System,
  samples: number,
  { population, threshold, moves }: NonNullable<PathConfig["resampling"]>,
  { seed, onProgress }: DrawOptions,
): Promise<WeightedSamples> {
  const count = Math.max(1, Math.floor(samples / population));
  const jobs = Array.from(
    { length: count },
    (_, island): IslandJob => ({
      seed,
      island,
      population,
      threshold,
      ...(moves ? { moves } : {}),
    }),
  );
  const all = new Collected(count * population, sizeOf(system));
  let done = 0;
  const results = await run(jobs, (k, result) => {
    all.put(k * population, result);
    done += population;
    onProgress?.(done);
  });
  const islands = results.map((result) => ({
    logZ: result.logZ,
    population,
    resampled: result.resampled.length,
    distinctAncestors: result.distinctAncestors,
    effectiveAncestors: result.effectiveAncestors,
  }));
  return { ...all.done(), islands };
}

/**
 * Chains from given starts (chains, N·n): at least `samples` states, chain after chain. The states of
 * one chain are neighbours in time.
 */
export async function drawChains(
  run: RunChains,
  system: System,
  samples: number,
  config: ChainsConfig,
  starts: Float64Array,
  { seed, onProgress }: DrawOptions,
): Promise<WeightedSamples> {
  const { chains, chains: _, ...settings } = config;
  const size = sizeOf(system);
  const draws = Math.ceil(samples / chains);
  const jobs: ChainsJob[] = [];
  for (let first = 0; first < chains; first += LANES) {
    const positions = starts.slice(first * size, (first + LANES) * size);
    jobs.push({ seed, first, count: LANES, positions, draws, ...settings });
  }
  const all = new Collected(chains * draws, size);
  let done = 0;
  const results = await run(jobs, (k, result) => {
    all.put(jobs[k].first * draws, result);
    done += LANES * draws;
    onProgress?.(done);
  });
  const drawn = all.done();
  const means = meanDistances(drawn.positions, system.particles, system.dimension);
  return {
    ...drawn,
    chains: {
      chains,
      draws,
      thin: config.thin,
      acceptance: results.reduce((sum, r) => sum + r.acceptance.reduce((a, p) => a + p, 0), 0) /
        chains,
      energy: chainStatistics(drawn.energies, chains),
      pairDistance: chainStatistics(means, chains),
    },
  };
}
