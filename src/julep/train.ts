/**
 * Stage 2: trains the transport of Julep by the log-variance loss over detached trajectories
 * (docs/method.md section 3). The numerics run behind `JulepJobs`; this file owns the loop's state, which
 * is plain data, so that a run can be checkpointed and resumed to the bit.
 */
import {
  type GradientJob,
  type GradientResult,
  LANES,
  type TrajectoryJob,
  type TrajectoryResult,
} from "../backends/backend.ts";
import type { JulepConfig } from "../config/config.ts";
import { InputError } from "../errors.ts";
import { type AdamState, adamUpdate, clipNorm, newAdamState } from "../math/adam.ts";
import { effectiveSampleSize, logPartitionFunction } from "../sampling/weights.ts";
import type { System } from "../systems/system.ts";
import { egnnLayout, initialiseEgnn } from "./egnn.ts";
import { diffusionStepSize } from "./diffusion.ts";
import { gradientWindows, logVarianceLoss, reverseDivergence } from "./loss.ts";
import type { JulepModel, NetworkShape } from "./model.ts";
import { julepPairPath, overdampedStepSizes, sourcePath } from "./pair_path.ts";
import type { PathModel } from "../path/model.ts";
import { randomTimes, uniformTimes } from "./schedule.ts";

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
      ? diffusionStepSize(stepSize.knots, Number(stepSize.initial), diffusion.finalStepSize)
      : stepSize.initial === "path"
      ? overdampedStepSizes(source!, stepSize.knots, config.steps).map(Math.log)
      : new Float64Array(stepSize.knots).fill(Math.log(stepSize.initial)),
    ...(source ? { path: julepPairPath(source) } : {}),
    ...(diffusion
      ? {
        diffusion: {
          kind: diffusion.kind,
          targetForce: diffusion.targetForce,
          stiffness: diffusion.stiffness,
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
export function clusterSource(system: System, { path }: JulepConfig): PathModel | null {
  if (!path) return null;
  if (system.config.kind !== "lennard_jones") {
    throw new InputError(`julep.path: ${system.name} has no cluster path`);
  }
  return sourcePath(system.config, path.variant);
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

/** Iterations over which the parameters are averaged (a running mean of the last ones). */
const AVERAGE_OVER = 50;

export class JulepTraining {
  readonly #config: JulepConfig;
  readonly #seed: number;
  readonly #adam: AdamState;
  readonly #rateScale: Float64Array;
  readonly #average: Float64Array;
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

  /** Linear warm-up, then a cosine to 5 %. */
  learningRate(): number {
    const { learningRate, warmup, iterations } = this.#config;
    const i = this.#iteration;
    const rise = warmup > 0 ? Math.min(1, (i + 1) / warmup) : 1;
    const fall = 0.05 + 0.95 * 0.5 * (1 + Math.cos(Math.PI * i / Math.max(iterations, 1)));
    return learningRate * rise * fall;
  }

  /** One iteration: trajectories, loss, gradient, Adam. */
  async step(jobs: JulepJobs): Promise<JulepStepReport> {
    const {
      steps,
      samples,
      grid,
      loss: form,
      lossGroups,
      tilt,
      gradientFraction,
      gradientClip,
      stepSize,
    } = this.#config;
    const iteration = this.#iteration;
    const stride = Math.ceil(samples / LANES) * LANES;
    const times = grid === "uniform"
      ? uniformTimes(steps)
      : randomTimes(steps, this.#seed, iteration);
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

    const learningRate = this.learningRate();
    if (gradient.every(Number.isFinite)) {
      const flat = flatten(model);
      adamUpdate(this.#adam, flat, gradient, learningRate, this.#rateScale);
      this.#model = unflatten(model, flat);
    }
    this.#iteration++;
    const flat = flatten(this.#model);
    const weight = 1 / Math.min(this.#iteration, AVERAGE_OVER);
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

/** Number of network parameters of a model. */
export function networkSize(model: JulepModel): number {
  return model.network ? egnnLayout(model.network).size : 0;
}
