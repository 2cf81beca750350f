/** The figures that training itself ends with: the prior alone and the transport, at a modest n. */
import type { RunConfig } from "../config/config.ts";
import { effectiveSampleSize, logPartitionFunction } from "../sampling/weights.ts";
import type { MoleculeFigures, RamachandranPicture } from "../report/input.ts";
import type { WeightedSamples } from "../sampling/draw.ts";
import { exactValues } from "../sampling/exact.ts";
import type { System } from "../systems/system.ts";
import type { ExecutorPool } from "../workers/pool.ts";
import type { TrainingState } from "./directory.ts";
import { evaluationsPerSample, type StageSeconds, trainEvaluations } from "./cost.ts";
import { type ForwardFigures, forwardFigures } from "./figures.ts";
import type { RunJobs } from "./jobs.ts";
import { moleculeFigures } from "./molecule_figures.ts";
import type { Progress } from "./progress.ts";
import { forward, priorSamples, samplerOf, stepsOf } from "./session.ts";

/** The figures that a training ends with, as metrics.json holds them. */
export interface Metrics extends ForwardFigures {
  /** The system's kind. */
  readonly system: string;
  /** The system in one line. */
  readonly definition: string;
  /** First 16 hexadecimal digits of the definition's SHA-256. */
  readonly hash: string;
  /** The run's seed; these samples have one of their own. */
  readonly seed: number;
  /** What computed. */
  readonly backend: string;
  /** Worker threads. */
  readonly workers: number;
  /** Kernels or levels of a path. */
  readonly steps: number;
  /** The prior alone; chains have none. */
  readonly mintEss?: number;
  /** log Z by importance sampling from the prior alone. */
  readonly mintLogZ?: number;
  /** log Z where it is known by quadrature. */
  readonly exactLogZ?: number;
  /** Evaluations of energies and gradients for each sample. */
  readonly energyEvaluationsPerSample: number;
  /** Gradients and energies of training; of a molecule's prior also by what they were for. */
  readonly trainEvaluations?: number;
  /** `trainEvaluations` by what they were for. */
  readonly trainEvaluationsOf?: Readonly<Record<string, number>>;
  /** Molecules: handedness, Ramachandran histograms. */
  readonly molecule?: MoleculeFigures;
  /** Wall clock of training, seconds. */
  readonly trainSeconds: number;
  /** Wall clock of training by stage. */
  readonly trainStageSeconds: StageSeconds;
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
  asked?: number,
): Promise<{
  metrics: Omit<Metrics, "trainSeconds" | "trainStageSeconds">;
  input: {
    drawn: WeightedSamples;
    priorLogWeights: Float64Array;
    ramachandran?: readonly RamachandranPicture[];
  };
}> {
  const sampler = samplerOf(config, system, state, jobs, progress);
  const steps = stepsOf(config, undefined, state);
  const seed = config.seed + METRICS_SEED_OFFSET;
  // Ten thousand are needed for an ESS worth the name; clusters would take minutes.
  const networkOfFew = system.particles <= 8 && !config.path && !config.chains;
  const samples = asked ?? (networkOfFew ? 10_000 : 1_000);
  const drawn = await forward(sampler, samples, steps, seed, "Checking");
  const prior = drawn.chains ? undefined : await priorSamples(sampler, samples, seed);
  const priorLogWeights = prior?.logWeights ?? new Float64Array(0);
  const { chirality = null } = sampler;
  const molecule = moleculeFigures(config, system, { drawn, prior, chirality });
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
      ...(prior
        ? {
          mintEss: effectiveSampleSize(priorLogWeights),
          mintLogZ: logPartitionFunction(priorLogWeights).logZ,
        }
        : {}),
      exactLogZ: known?.exact ? known.logZ!.value : undefined,
      energyEvaluationsPerSample: evaluationsPerSample(drawn, config, steps),
      trainEvaluations: trainEvaluations(config, state),
      trainEvaluationsOf: state.internal?.evaluationsOf,
      molecule: molecule?.figures,
    },
    input: { drawn, priorLogWeights, ramachandran: molecule?.pictures },
  };
}
