/**
 * The two stages and sampling as functions of values: what the library offers, and what `train`
 * drives with checkpoints.
 *
 *   system → trainMint → trainJulep → draw
 */
import type { JulepConfig, MintConfig } from "../config/config.ts";
import { flowVelocity } from "../julep/pair_path.ts";
import {
  clusterSource,
  initialiseJulep,
  type JulepStepReport,
  JulepTraining,
  type JulepTrainingState,
  trainingSeed,
} from "../julep/train.ts";
import { initialiseWhitenedJulep } from "../julep/start_whitened.ts";
import type { JulepModel } from "../julep/model.ts";
import { withEstimates } from "../mint/families.ts";
import type { MintModel } from "../mint/model.ts";
import { initialiseMint } from "../mint/start.ts";
import { type MintStepReport, MintTraining, type MintTrainingState } from "../mint/train.ts";
import type { InternalModel } from "../path/internal_sampler.ts";
import { drawForward, type WeightedSamples } from "../sampling/draw.ts";
import type { Molecule } from "../systems/molecule/molecule.ts";
import type { System } from "../systems/system.ts";
import type { ExecutorPool } from "../workers/pool.ts";
import { RunJobs } from "./jobs.ts";
import { Pace } from "./pace.ts";

/** What every stage runs with. */
export interface StageContext {
  /** Workers, from ExecutorPool.start. */
  readonly backend: ExecutorPool;
  /** Integer from 0 to 2³² − 1; everything random follows from it. */
  readonly seed: number;
  /** Stops the stage: it throws AbortedError. */
  readonly signal?: AbortSignal;
}

/** What trainMint runs with. */
export interface MintStage extends StageContext {
  /**
   * Continue from here.
   * @internal
   */
  readonly state?: MintTrainingState;
  /** Start from this prior in place of one made from minimised configurations. */
  readonly model?: MintModel;
  /**
   * Called after every iteration.
   * @internal
   */
  readonly onStep?: (report: MintStepReport, training: MintTraining) => void | Promise<void>;
}

/** Stage 1: fits the mixture to exp(−U) (eq. 17). Throws AbortedError when stopped. */
export async function trainMint(
  system: System,
  config: MintConfig,
  context: MintStage,
): Promise<MintModel> {
  const { backend, seed, signal, state, onStep } = context;
  const jobs = new RunJobs(backend, system.config, signal);
  const start = context.model ?? initialiseMint(system, config, seed);
  const training = new MintTraining(start, config, seed, state);
  while (training.iteration < config.iterations) {
    const report = await training.step(jobs);
    await onStep?.(report, training);
  }
  return withEstimates(training.model, config.pvmf.normaliserSamples);
}

/** What trainJulep runs with. */
export interface JulepStage extends StageContext {
  /**
   * Continue from here.
   * @internal
   */
  readonly state?: JulepTrainingState;
  /**
   * A molecule in internal coordinates: this prior in place of `mint`.
   * @internal
   */
  readonly internal?: InternalModel;
  /**
   * Called once before the first iteration of a training that does not continue another.
   * @internal
   */
  readonly onStart?: (training: JulepTraining) => void | Promise<void>;
  /**
   * After every iteration; `training` stands at the last one of those that were done together.
   * @internal
   */
  readonly onStep?: (report: JulepStepReport, training: JulepTraining) => void | Promise<void>;
  /** On a GPU: iterations from one read-back to the next; default: about a second's worth. */
  readonly readBackEvery?: number;
  /** Iterations that are multiples of it are the last of those done together. */
  readonly stopAtMultiplesOf?: number;
}

/** Stage 2: trains the transport from the prior to the target. Throws AbortedError when stopped. */
export async function trainJulep(
  system: System,
  mint: MintModel,
  config: JulepConfig,
  context: JulepStage,
): Promise<JulepModel> {
  const { backend, seed, signal, state, onStep } = context;
  const jobs = new RunJobs(backend, system.config, signal);
  jobs.mint = mint;
  const { internal } = context;
  jobs.internal = internal ?? null;
  const start = state?.model ??
    (internal
      ? initialiseWhitenedJulep(system as Molecule, internal, config, seed)
      : await startJulep(system, config, seed, jobs, mint.anchor));
  const training = new JulepTraining(start, config, seed, state);
  if (!state) await context.onStart?.(training);
  const pace = new Pace(context.readBackEvery);
  while (training.iteration < config.iterations) {
    const every = context.stopAtMultiplesOf ?? Infinity;
    const left = Math.min(
      config.iterations - training.iteration,
      every === Infinity ? Infinity : every - training.iteration % every,
    );
    for (const report of await pace.timed((most) => training.advance(jobs, most), left)) {
      await onStep?.(report, training);
    }
  }
  return training.averaged;
}

/** The transport before training, with its pair flow fitted where the configuration asks for one. */
async function startJulep(
  system: System,
  config: JulepConfig,
  seed: number,
  jobs: RunJobs,
  anchor?: number,
): Promise<JulepModel> {
  const start = initialiseJulep(system, config, seed, anchor);
  const source = clusterSource(system, config);
  if (!source || config.path!.flow === "none") return start;
  const { flow } = await jobs.fitFlow(source, {
    seed: trainingSeed(seed),
    population: config.path!.fitSamples,
    threshold: 0,
  });
  return config.path!.flow === "exact"
    ? { ...start, pairFlow: flow }
    : { ...start, pairDrift: flowVelocity(flow) };
}

/** What samples are drawn with. */
export interface DrawContext extends StageContext {
  /** Paths. */
  readonly samples: number;
  /** Kernels per path. */
  readonly steps: number;
  /** Called now and then with the number of finished paths. */
  readonly onProgress?: (done: number) => void;
}

/** Weighted samples of exp(−U): averages Σ w f / Σ w with w = e^W are unbiased whatever is learnt. */
export function draw(
  system: System,
  mint: MintModel,
  julep: JulepModel,
  context: DrawContext,
): Promise<WeightedSamples> {
  const { backend, seed, signal, samples, steps, onProgress } = context;
  const jobs = new RunJobs(backend, system.config, signal);
  jobs.mint = mint;
  const options = { seed, steps, onProgress };
  return drawForward(jobs.runTrajectories(julep), system, samples, options);
}
