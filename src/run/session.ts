/** Paths of a trained run: forward draws, backward draws, the prior alone, the control. */
import type { ChainsConfig, JulepConfig, PathConfig, RunConfig } from "../config/config.ts";
import { methodOf } from "../config/methods.ts";
import { InputError } from "../errors.ts";
import { averagedJulep, initialiseJulep, JulepTraining } from "../julep/train.ts";
import { initialiseWhitenedJulep } from "../julep/start_whitened.ts";
import type { JulepModel } from "../julep/model.ts";
import type { MintModel } from "../mint/model.ts";
import type { InternalModel } from "../path/internal_sampler.ts";
import type { PathModel } from "../path/model.ts";
import {
  backwardShift,
  type Chirality,
  referenceOf,
  withChirality,
} from "../sampling/chirality.ts";
import { drawBackward, drawForward, type WeightedSamples } from "../sampling/draw.ts";
import { drawChains, drawIslands, drawPaths, drawPathsBackward } from "../sampling/path_draw.ts";
import { resampledPositions } from "../sampling/resample.ts";
import type { Molecule } from "../systems/molecule/molecule.ts";
import type { System } from "../systems/system.ts";
import { chiralityOf, givenGeometry } from "./chirality.ts";
import type { TrainingState } from "./directory.ts";
import type { RunJobs } from "./jobs.ts";
import { Pace } from "./pace.ts";
import { chainStarts } from "./path.ts";
import type { Progress } from "./progress.ts";

/** A finished run, ready to draw from: Julep, a path, or chains. */
export interface Sampler {
  readonly system: System;
  readonly mint: MintModel;
  readonly jobs: RunJobs;
  readonly progress: Progress;
  readonly julep: JulepModel | null;
  readonly path?: PathModel | null;
  /** A molecule in internal coordinates: its own prior and path. */
  readonly internal?: InternalModel | null;
  /** Islands of Sequential Monte Carlo instead of single paths. */
  readonly resampling?: PathConfig["resampling"];
  readonly chains?: ChainsConfig | null;
  /** Molecules with stereocentres: which handedness is sampled. */
  readonly chirality?: Chirality | null;
  /** Molecules: where chains start from. */
  readonly geometry?: Float64Array | null;
}

export function samplerOf(
  config: RunConfig,
  system: System,
  state: TrainingState,
  jobs: RunJobs,
  progress: Progress,
): Sampler {
  return {
    system,
    mint: state.mint,
    jobs,
    progress,
    julep: state.julep ? averagedJulep(state.julep) : null,
    path: state.path?.model ?? null,
    internal: state.internal?.model ?? null,
    resampling: config.path?.resampling ?? islandsOf(config.internal),
    chains: config.chains ?? null,
    chirality: chiralityOf(config, system),
    geometry: givenGeometry(config),
  };
}

const islandsOf = (internal: RunConfig["internal"]) =>
  internal?.resampling ? { ...internal.resampling, moves: null } : null;

/**
 * Kernels per path: as asked, or as trained. Throws InputError for a path or chains, whose number of
 * steps is part of what was fitted.
 */
export function stepsOf(
  config: RunConfig,
  asked: number | undefined,
  state: TrainingState,
): number {
  const { path, chains, julep, internal } = config;
  if (asked !== undefined && (path || chains || internal?.resampling)) {
    throw new InputError(
      `--steps is Julep's: a run of method ${methodOf(config)} keeps its levels ` +
        `(train with --set ${internal ? "internal" : "path"}.levels=${asked})`,
    );
  }
  if (internal && internal.kernel !== "julep") return asked ?? state.internal!.model.levels;
  return path ? path.levels : chains ? chains.thin : asked ?? julep.steps;
}

/** `samples` forward paths of `steps` kernels (the path's own number, where it is one). */
export async function forward(
  sampler: Sampler,
  samples: number,
  steps: number,
  seed: number,
  label = "Sampling",
): Promise<WeightedSamples> {
  const { system, jobs, mint, progress } = sampler;
  jobs.mint = mint;
  jobs.internal = sampler.internal ?? null;
  progress.stage(label, samples);
  const options = { seed, onProgress: (done: number) => progress.update(done, {}) };
  const drawn = await draw();
  progress.end();
  return sampler.chirality ? withChirality(drawn, system, sampler.chirality, seed) : drawn;

  function draw(): Promise<WeightedSamples> {
    const { julep, path, resampling, chains, internal } = sampler;
    if (internal && resampling && steps > 0) {
      return drawIslands(jobs.runInternalIslands(internal), system, samples, resampling, options);
    }
    // No step at all: the prior alone.
    if (internal && (!julep || steps === 0)) {
      return drawPaths(jobs.runInternal({ ...internal, levels: steps }), system, samples, options);
    }
    if (chains) {
      const starts = chainStarts(system, chains.chains, seed, sampler.geometry);
      return drawChains(jobs.runChains(), system, samples, chains, starts, options);
    }
    if (path && resampling) {
      return drawIslands(jobs.runIslands(path), system, samples, resampling, options);
    }
    if (path) return drawPaths(jobs.runPaths(path), system, samples, options);
    return drawForward(jobs.runTrajectories(julep!), system, samples, { ...options, steps });
  }
}

/**
 * Backward paths from target samples (count, N·n); with resampling, those of the same path without.
 * Chains have none: the samples alone come back, with NaN for their weights.
 */
export async function backward(
  sampler: Sampler,
  given: Float64Array,
  steps: number,
  seed: number,
  label = "Backward from the reference",
): Promise<WeightedSamples> {
  const { system, jobs, julep, path, mint, progress, internal, chirality } = sampler;
  const reference = chirality
    ? referenceOf(given, system.particles * system.dimension, chirality)
    : given;
  const count = reference.length / (system.particles * system.dimension);
  if (!julep && !path && !internal) {
    const energies = Float64Array.from(
      { length: count },
      (_, s) =>
        system.energy(
          reference.slice(s * reference.length / count, (s + 1) * reference.length / count),
        ),
    );
    const positions = Float32Array.from(reference);
    const logWeights = new Float64Array(count).fill(NaN);
    return { positions, priorPositions: positions, energies, logWeights, seconds: 0 };
  }
  jobs.mint = mint;
  jobs.internal = internal ?? null;
  progress.stage(label, count);
  const options = { seed, onProgress: (done: number) => progress.update(done, {}) };
  const drawn = internal && (!julep || steps === 0)
    ? await drawPathsBackward(
      jobs.runInternal({ ...internal, levels: steps }),
      system,
      reference,
      options,
    )
    : path
    ? await drawPathsBackward(jobs.runPaths(path), system, reference, options)
    : await drawBackward(jobs.runTrajectories(julep!), system, reference, { ...options, steps });
  progress.end();
  return chirality ? shifted(drawn, backwardShift(chirality)) : drawn;
}

const shifted = (drawn: WeightedSamples, by: number): WeightedSamples =>
  by === 0 ? drawn : { ...drawn, logWeights: drawn.logWeights.map((w) => w + by) };

/** HMC transitions that a buffer's configurations make, and what they start to adapt from. */
const BUFFER_TRANSITIONS = 60;
const bufferMoves = {
  double_well: { leapfrogs: 8, stepSize: 0.1 },
  lennard_jones: { leapfrogs: 8, stepSize: 0.02 },
  molecule: { leapfrogs: 20, stepSize: 0.002 },
} as const;

/**
 * Samples that stand in for reference samples where there are none: the run's own, resampled to
 * equal weights, each moved on by HMC chains on the target. They show what the sampler visits too
 * seldom; what it misses altogether stays unseen.
 */
export async function ownBuffer(
  sampler: Sampler,
  drawn: WeightedSamples,
  seed: number,
  most = 2000,
): Promise<{ positions: Float64Array; evaluations: number }> {
  const { system, jobs, progress } = sampler;
  const size = system.particles * system.dimension;
  const count = Math.min(most, drawn.energies.length) & ~3;
  const starts = resampledPositions(drawn.positions, drawn.logWeights, size, count, seed);
  progress.stage("Buffer: own samples moved on by HMC", count);
  const moved = await drawChains(
    jobs.runChains(),
    system,
    count,
    {
      chains: count,
      ...bufferMoves[system.config.kind],
      targetAcceptance: 0.8,
      warmup: BUFFER_TRANSITIONS,
      thin: 1,
    },
    starts,
    { seed, onProgress: (done) => progress.update(done, {}) },
  );
  progress.end();
  return {
    positions: Float64Array.from(moved.positions),
    evaluations: moved.cost!.gradients + moved.cost!.energies,
  };
}

/** Draws of the prior alone with their log-weights −U − log q. */
export async function priorSamples(
  sampler: Sampler,
  samples: number,
  seed: number,
): Promise<WeightedSamples> {
  const { system, jobs, mint, internal, chirality } = sampler;
  if (internal) return await forward(sampler, samples, 0, seed, "Prior");
  const start = performance.now();
  const draw = await jobs.drawPrior(mint, seed, 0, samples);
  const positions = Float32Array.from(draw.positions);
  const drawn: WeightedSamples = {
    positions,
    priorPositions: positions,
    energies: draw.energies,
    logWeights: draw.energies.map((u, s) => -u - draw.logDensity[s]),
    seconds: (performance.now() - start) / 1000,
  };
  return chirality ? withChirality(drawn, system, chirality, seed) : drawn;
}

/** Log-weights of the prior alone on given (relabelled) samples of the target. */
export async function priorWeightsAt(
  sampler: Sampler,
  target: WeightedSamples,
): Promise<Float64Array> {
  if (sampler.internal) {
    const reference = Float64Array.from(target.positions);
    return (await backward(sampler, reference, 0, 0, "Prior at the reference")).logWeights;
  }
  const count = target.energies.length;
  const logDensity = await sampler.jobs.priorLogDensity(
    sampler.mint,
    Float64Array.from(target.positions),
    count,
  );
  const shift = sampler.chirality ? backwardShift(sampler.chirality) : 0;
  return target.energies.map((u, s) => -u - logDensity[s] + shift);
}

/** Iterations and learning rate that find the best ε(t) of the control from any start. */
const CONTROL = { iterations: 150, learningRate: 2e-3, warmup: 5 };

/**
 * The honest control: the same prior, steps and gauge without the network, its ε(t) trained by the
 * same loss.
 */
export async function trainControl(
  sampler: Sampler,
  config: RunConfig,
  steps: number,
): Promise<JulepModel> {
  const { system, jobs, mint, progress } = sampler;
  const julep: JulepConfig = {
    ...config.julep,
    ...CONTROL,
    steps,
    gradientFraction: 1,
    network: { ...config.julep.network, enabled: false },
    stepSize: {
      ...config.julep.stepSize,
      learn: true,
      learningRateFactor: Math.min(20, config.julep.stepSize.learningRateFactor),
    },
  };
  jobs.mint = mint;
  const { internal, julep: trained } = sampler;
  jobs.internal = internal ?? null;
  const start = {
    ...(internal
      ? initialiseWhitenedJulep(system as Molecule, internal, julep, config.seed)
      : initialiseJulep(system, julep, config.seed, mint.anchor)),
    // What was fitted to pairs is no network: the control keeps it.
    ...(trained?.pairDrift ? { pairDrift: trained.pairDrift } : {}),
    ...(trained?.pairFlow ? { pairFlow: trained.pairFlow } : {}),
  };
  const training = new JulepTraining(start, julep, config.seed);
  progress.stage("Control (no network, its best step size)", julep.iterations);
  const pace = new Pace();
  while (training.iteration < julep.iterations) {
    const left = julep.iterations - training.iteration;
    for (
      const { iteration, loss, ess } of await pace.timed(
        (most) => training.advance(jobs, most),
        left,
      )
    ) progress.update(iteration, { loss, ess });
  }
  progress.end();
  return training.averaged;
}
