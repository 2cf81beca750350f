/**
 * Stage 2: trains the transport of Julep by the log-variance loss over detached trajectories
 * (docs/method.md section 3). The numerics run behind `JulepJobs`; this file owns the loop's state, which
 * is plain data, so that a run can be checkpointed and resumed to the bit.
 */
import {
  type GradientJob,
  type GradientResult,
  LANES,
  type TrainJob,
  type TrainResult,
  type TrajectoryJob,
  type TrajectoryResult,
} from "../backends/backend.ts";
import type { JulepConfig } from "../config/config.ts";
import { InputError } from "../errors.ts";
import { type AdamState, adamUpdate, clipNorm, newAdamState } from "../math/adam.ts";
import { effectiveSampleSize, logPartitionFunction } from "../sampling/weights.ts";
import type { System } from "../systems/system.ts";
import { initialiseEgnn } from "./egnn.ts";
import { fallingStepSize } from "./diffusion.ts";
import { gradientWindows, logVarianceLoss, reverseDivergence } from "./loss.ts";
import type { JulepModel, NetworkShape } from "./model.ts";
import { EXACT_FLOW_STEP, julepPairPath, overdampedStepSizes, sourcePath } from "./pair_path.ts";
import type { PathModel } from "../path/model.ts";
import {
  averagingAt,
  learningRateAt,
  strideOf,
  timesAt,
  trainPlan,
  trainsOnDevice,
} from "./train_plan.ts";

/**
 * The transport before training: heads at zero, so plain annealed Langevin dynamics. `anchor` is the
 * particle at the origin where the gauge has one; the prior's own (MintModel.anchor).
 */
export function initialiseJulep(
  system: System,
  config: JulepConfig,
  seed: number,
  anchor = 0,
): JulepModel {
  const { network: net, stepSize, diffusion } = config;
  const source = clusterSource(system, config);
  const exactFlow = config.path?.flow === "exact";
  const network: NetworkShape | null = net.enabled
    ? {
      particles: system.particles,
      dimension: system.dimension,
      layers: net.layers,
      hidden: net.hidden,
      channels: diffusion
        ? Number(diffusion.targetForce)
        : net.matrix === "none"
        ? 0
        : net.channels,
      lengthScale: system.lengthScale,
      anchored: config.gauge === "anchor",
      ...(anchor > 0 ? { anchor } : {}),
      ...(system.config.kind === "molecule" ? { types: atomTypes(system) } : {}),
      ...(net.outputScale === undefined ? {} : { outputScale: net.outputScale }),
    }
    : null;
  return {
    gauge: config.gauge,
    ...(anchor > 0 ? { anchor } : {}),
    forceClip: config.forceClip,
    network,
    drift: net.drift,
    evenDrift: net.evenDrift,
    matrix: net.matrix,
    parameters: network ? initialiseEgnn(network, seed) : new Float64Array(0),
    logStepSize: diffusion
      ? fallingStepSize(stepSize.knots, Number(stepSize.initial), diffusion.finalStepSize)
      : stepSize.initial === "path"
      ? overdampedStepSizes(
        source!,
        stepSize.knots,
        config.steps,
        exactFlow ? EXACT_FLOW_STEP : 1,
      ).map(Math.log)
      : fallingStepSize(stepSize.knots, stepSize.initial, stepSize.fall ?? 1),
    ...(source ? { path: julepPairPath(source, exactFlow) } : {}),
    ...(diffusion
      ? {
        diffusion: {
          kind: diffusion.kind,
          targetForce: diffusion.targetForce,
          stiffness: diffusion.stiffness,
          proximalSteps: diffusion.proximalSteps,
          adjointClip: diffusion.adjointClip,
        },
      }
      : {}),
  };
}

/** A molecule's atoms, each of a type of its own but for those that the energy does not tell apart. */
function atomTypes({ particles, identicalParticles }: System): number[] {
  const types = new Array<number>(particles).fill(-1);
  let next = 0;
  for (let i = 0; i < particles; i++) {
    if (types[i] >= 0) continue;
    const alike = identicalParticles.find((group) => group.includes(i)) ?? [i];
    for (const other of alike) types[other] = next;
    next++;
  }
  return types;
}

/** The path whose levels (and flow, once fitted) a transport of this configuration takes over. */
export function clusterSource(system: System, { path, steps }: JulepConfig): PathModel | null {
  if (!path) return null;
  if (system.config.kind !== "lennard_jones") {
    throw new InputError(`julep.path: ${system.name} has no cluster path`);
  }
  // A step of an exact flow takes a level's map; two levels make the shortest path.
  const levels = path.flow === "exact" ? Math.max(2, steps) : undefined;
  return sourcePath(system.config, path.variant, levels);
}

/**
 * The seed of training's draws: apart from every draw a user can ask for, whose seeds are below
 * 2³², so that a trained transport is never judged on the noise it was trained with.
 */
export function trainingSeed(seed: number): number {
  return seed + 2 ** 32;
}

export interface JulepJobs {
  /** Trajectories of a model; results in job order. */
  trajectories(model: JulepModel, jobs: TrajectoryJob[]): Promise<TrajectoryResult[]>;
  gradients(model: JulepModel, jobs: GradientJob[]): Promise<GradientResult[]>;
  /**
   * Whole iterations on a device, where there is one. Of the model only its form counts: what is
   * trained stands in the job.
   */
  train?(model: JulepModel, job: TrainJob): Promise<TrainResult>;
}

export interface JulepStepReport {
  readonly iteration: number;
  readonly loss: number;
  /** Path ESS of this iteration's trajectories, a fraction. */
  readonly ess: number;
  readonly logZ: number;
  readonly gradientNorm: number;
  readonly learningRate: number;
  /** Trajectories that left the finite numbers. */
  readonly dropped: number;
}

export interface JulepTrainingState {
  readonly iteration: number;
  readonly model: JulepModel;
  /** Exponential average of the parameters, what is sampled with. */
  readonly average: Float64Array;
  readonly adam: AdamState;
}

/** Samples of one job; the order of sums depends on it and on nothing else. */
const CHUNK = 2 * LANES;

export class JulepTraining {
  readonly #config: JulepConfig;
  readonly #seed: number;
  readonly #adam: AdamState;
  readonly #rateScale: Float64Array;
  readonly #average: Float64Array;
  /** Form of all models of this training; one object, so that jobs are prepared once for it. */
  readonly #form: JulepModel;
  #model: JulepModel;
  #iteration: number;

  constructor(
    model: JulepModel,
    config: JulepConfig,
    seed: number,
    state?: JulepTrainingState,
  ) {
    this.#config = config;
    this.#seed = trainingSeed(seed);
    this.#model = state?.model ?? model;
    this.#form = this.#model;
    const size = this.#model.parameters.length + this.#model.logStepSize.length;
    this.#adam = state ? structuredClone(state.adam) : newAdamState(size);
    this.#rateScale = new Float64Array(size).fill(1);
    this.#rateScale.fill(config.stepSize.learningRateFactor, this.#model.parameters.length);
    this.#average = state ? state.average.slice() : flatten(this.#model);
    this.#iteration = state?.iteration ?? 0;
  }

  /** Iterations done. */
  get iteration(): number {
    return this.#iteration;
  }

  /** The model as it stands, with the parameters that are being trained. */
  get current(): JulepModel {
    return this.#model;
  }

  /** The model to sample with: parameters averaged over the last iterations. */
  get averaged(): JulepModel {
    return averagedJulep(this.state());
  }

  state(): JulepTrainingState {
    return {
      iteration: this.#iteration,
      model: this.#model,
      average: this.#average.slice(),
      adam: structuredClone(this.#adam),
    };
  }

  /**
   * Iterations in order: one, or where a device does whole iterations `most` of them, with one
   * read-back at the end. How they are divided changes no bit. When it throws, nothing has changed.
   */
  async advance(jobs: JulepJobs, most = 1): Promise<JulepStepReport[]> {
    if (!jobs.train || !trainsOnDevice(this.#config)) return [await this.step(jobs)];
    const size = this.#average.length;
    const from = this.#iteration;
    const plan = trainPlan(this.#config, this.#seed, from, this.#adam.step, most);
    const state = new Float32Array(4 * size);
    [flatten(this.#model), this.#adam.m, this.#adam.v, this.#average]
      .forEach((part, k) => state.set(part, k * size));
    const result = await jobs.train(this.#form, { ...plan, state });
    const part = (k: number) => result.state.subarray(k * size, (k + 1) * size);
    this.#model = unflatten(this.#model, Float64Array.from(part(0)));
    this.#adam.m.set(part(1));
    this.#adam.v.set(part(2));
    this.#average.set(part(3));
    this.#adam.step += result.updated.reduce((sum, made) => sum + made, 0);
    this.#iteration += most;
    const { samples } = this.#config;
    return Array.from({ length: most }, (_, k) => {
      const logWeights = result.logWeights.subarray(k * samples, (k + 1) * samples);
      return {
        iteration: from + k + 1,
        loss: result.losses[k],
        ess: effectiveSampleSize(logWeights),
        logZ: logPartitionFunction(logWeights).logZ,
        gradientNorm: result.gradientNorms[k],
        learningRate: learningRateAt(this.#config, from + k),
        dropped: result.dropped[k],
      };
    });
  }

  /** One iteration: trajectories, loss, gradient, Adam. */
  async step(jobs: JulepJobs): Promise<JulepStepReport> {
    const {
      steps,
      samples,
      loss: form,
      lossGroups,
      tilt,
      gradientFraction,
      gradientClip,
      stepSize,
    } = this.#config;
    const iteration = this.#iteration;
    const stride = strideOf(samples);
    const times = timesAt(this.#config, this.#seed, iteration);
    const counts: number[] = [];
    for (let done = 0; done < samples; done += CHUNK) counts.push(Math.min(CHUNK, samples - done));
    const model = this.#model;
    const throughPath = model.diffusion?.kind === "pis";
    const { windows, scale } = gradientWindows(
      steps,
      samples,
      throughPath ? 1 : gradientFraction,
      this.#seed,
      iteration,
    );
    const windowsOf = (k: number) =>
      windows.slice(2 * k * CHUNK / LANES, 2 * (k + 1) * CHUNK / LANES);
    const results = await jobs.trajectories(
      model,
      counts.map((count, k) => ({
        seed: this.#seed,
        first: iteration * stride + k * CHUNK,
        count,
        times,
        direction: "forward",
        keep: true,
        // The comparators keep no activations.
        windows: model.diffusion ? undefined : windowsOf(k),
      })),
    );

    const increments = new Float64Array(steps * samples);
    const logWeights = new Float64Array(samples);
    results.forEach((result, k) => {
      logWeights.set(result.logWeights, k * CHUNK);
      copyColumns(result.increments!, counts[k], 0, increments, samples, k * CHUNK, counts[k]);
    });
    const { loss, coefficients, dropped } = throughPath
      ? reverseDivergence(increments, steps, samples)
      : logVarianceLoss(increments, steps, samples, form, lossGroups, tilt);
    // ε always follows the variance of the total: single steps would have it as small as can be.
    const total = logVarianceLoss(increments, steps, samples, "total", 1, tilt).coefficients;
    for (let i = 0; i < coefficients.length; i++) {
      coefficients[i] *= scale;
      total[i] *= scale;
    }

    const gradients = await jobs.gradients(
      model,
      results.map((result, k) => {
        const own = (source: Float64Array) => {
          const out = new Float64Array(steps * counts[k]);
          copyColumns(source, samples, k * CHUNK, out, counts[k], 0, counts[k]);
          return out;
        };
        return {
          seed: this.#seed,
          first: iteration * stride + k * CHUNK,
          count: counts[k],
          times,
          states: result.states!,
          forces: result.forces!,
          coefficients: own(coefficients),
          stepCoefficients: own(total),
          windows: windowsOf(k),
          throughPath,
        };
      }),
    );
    const size = model.parameters.length;
    const gradient = new Float64Array(size + model.logStepSize.length);
    for (const g of gradients) {
      for (let i = 0; i < size; i++) gradient[i] += g.parameters[i];
      for (let i = 0; i < g.logStepSize.length; i++) gradient[size + i] += g.logStepSize[i];
    }
    if (!stepSize.learn) gradient.fill(0, size);
    // The step size is clipped by itself: its gradient is of another magnitude.
    const gradientNorm = clipNorm(gradient.subarray(0, size), gradientClip);
    clipNorm(gradient.subarray(size), gradientClip);

    const learningRate = learningRateAt(this.#config, iteration);
    if (gradient.every(Number.isFinite)) {
      const flat = flatten(model);
      adamUpdate(this.#adam, flat, gradient, learningRate, this.#rateScale);
      this.#model = unflatten(model, flat);
    }
    this.#iteration++;
    const flat = flatten(this.#model);
    const weight = averagingAt(iteration);
    for (let i = 0; i < flat.length; i++) {
      this.#average[i] += weight * (flat[i] - this.#average[i]);
    }
    return {
      iteration: this.#iteration,
      loss,
      ess: effectiveSampleSize(logWeights),
      logZ: logPartitionFunction(logWeights).logZ,
      gradientNorm,
      learningRate,
      dropped,
    };
  }
}

/** Columns [from, from + count) of a (rows, width) array to columns at `to` of another. */
function copyColumns(
  source: Float64Array,
  sourceWidth: number,
  from: number,
  target: Float64Array,
  targetWidth: number,
  to: number,
  count: number,
): void {
  const rows = source.length / sourceWidth;
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < count; c++) {
      target[r * targetWidth + to + c] = source[r * sourceWidth + from + c];
    }
  }
}

/** Network parameters followed by the knots of log ε. */
function flatten(model: JulepModel): Float64Array {
  const flat = new Float64Array(model.parameters.length + model.logStepSize.length);
  flat.set(model.parameters);
  flat.set(model.logStepSize, model.parameters.length);
  return flat;
}

function unflatten(model: JulepModel, flat: Float64Array): JulepModel {
  const size = model.parameters.length;
  return { ...model, parameters: flat.slice(0, size), logStepSize: flat.slice(size) };
}

/** The model to sample with: parameters averaged over the last iterations of training. */
export function averagedJulep(state: JulepTrainingState): JulepModel {
  return unflatten(state.model, state.average);
}
