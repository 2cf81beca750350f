/** The figures that training itself ends with: the prior alone and the transport, at a modest n. */
import type { RunConfig } from "../config/config.ts";
import { effectiveSampleSize, logPartitionFunction } from "../sampling/weights.ts";
import type { WeightedSamples } from "../sampling/draw.ts";
import { exactValues } from "../sampling/exact.ts";
import type { System } from "../systems/system.ts";
import type { ExecutorPool } from "../workers/pool.ts";
import type { TrainingState } from "./directory.ts";
import { type ForwardFigures, forwardFigures } from "./figures.ts";
import type { RunJobs } from "./jobs.ts";
import type { Progress } from "./progress.ts";
import { forward, priorWeights, samplerOf, stepsOf } from "./session.ts";

export interface Metrics extends ForwardFigures {
  readonly system: string;
  readonly definition: string;
  readonly hash: string;
  readonly seed: number;
  readonly backend: string;
  readonly workers: number;
  readonly steps: number;
  /** The prior alone. */
  readonly mintEss: number;
  readonly mintLogZ: number;
  readonly exactLogZ?: number;
  readonly trainSeconds: number;
}

/** Seed apart from the run's own: its first samples are the user's. */
const METRICS_SEED_OFFSET = 1_000_000;

export async function measure(
  config: RunConfig,
  system: System,
  state: TrainingState,
  jobs: RunJobs,
  pool: ExecutorPool,
  progress: Progress,
): Promise<{
  metrics: Omit<Metrics, "trainSeconds">;
  input: { drawn: WeightedSamples; priorLogWeights: Float64Array };
}> {
  const sampler = samplerOf(config, system, state, jobs, progress);
  const steps = stepsOf(config, undefined);
  const seed = config.seed + METRICS_SEED_OFFSET;
  // Ten thousand are needed for an ESS worth the name; clusters would take minutes.
  const networkOfFew = system.particles <= 8 && !config.path && !config.chains;
  const samples = networkOfFew ? 10_000 : 1_000;
  const drawn = await forward(sampler, samples, steps, seed, "Checking");
  const priorLogWeights = await priorWeights(sampler, samples, seed);
  const known = exactValues(config.system);
  return {
    metrics: {
      system: system.name,
      definition: system.definition,
      hash: system.hash,
      seed: config.seed,
      backend: pool.backend,
      workers: pool.workers,
      steps,
      ...forwardFigures(system, drawn),
      mintEss: effectiveSampleSize(priorLogWeights),
      mintLogZ: logPartitionFunction(priorLogWeights).logZ,
      exactLogZ: known?.exact ? known.logZ.value : undefined,
    },
    input: { drawn, priorLogWeights },
  };
}
