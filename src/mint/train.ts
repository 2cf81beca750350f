/**
 * Training of the Mint prior: weighted maximum likelihood on its own samples, weights w^a with
 * w = p/q. With a = 1 (eq. 17) the gradient is that of the Kullback-Leibler divergence of q from p,
 * with a = 2 that of log E_q[w²] = −log ESS + const: the tails count, and no mode is given up. The
 * exponent grows from 1, because w² of a poor prior is too noisy to learn from.
 */
import type { PriorDraw } from "../backends/backend.ts";
import type { MintConfig } from "../config/config.ts";
import { adamUpdate, clipNorm, cosineSchedule, newAdamState } from "../math/adam.ts";
import { Stream } from "../math/random.ts";
import type { System } from "../systems/system.ts";
import { addRepulsion, temperedWeights } from "./loss.ts";
import { withEstimates } from "./families.ts";
import type { MintModel } from "./model.ts";
import { drawMint, MintDensity } from "./mixture.ts";

/** The numerics of training: the pool of workers, or one process (`localMintJobs`). */
export interface MintJobs {
  /** Draws first, first + 1, ... of the stream `mintBatch`, with log q and U. */
  draw(model: MintModel, seed: number, first: number, count: number): Promise<PriorDraw>;
  /** Σ_s weights_s · ∂(−log q(x_s))/∂parameters. */
  gradient(
    model: MintModel,
    batch: { positions: Float64Array; weights: Float64Array; count: number },
  ): Promise<Float64Array>;
}

/** Everything an exact continuation needs. */
export interface MintTrainingState {
  readonly iteration: number;
  readonly parameters: Float64Array;
  readonly m: Float64Array;
  readonly v: Float64Array;
  /** Exponential average of the parameters: the result. */
  readonly average: Float64Array;
}

export interface MintStepReport {
  /** −Σ_s w_s log q(x_s), w the weights used, plus the repulsion. */
  readonly loss: number;
  /** ESS of the batch before tempering, as a fraction. */
  readonly ess: number;
  /** Exponent of the weights used: the schedule's, or less while they are degenerate. */
  readonly temperingExponent: number;
  /** log mean exp(−U − log q) over the batch. */
  readonly logZ: number;
  readonly gradientNorm: number;
}

/** Learning rate at the end over the one at the start; averaging does the rest. */
const LAST_RATE = 0.2;
/** The weights' exponent grows from 1 from this fraction of training on. */
const EXPONENT_FROM = 0.3;

/** Samples of an estimated normaliser in each iteration: fewer than at the end. */
const trainingEstimates = ({ pvmf }: MintConfig) => Math.max(64, pvmf.normaliserSamples >> 3);

/** Iterations averaged over: the last 50, fewer in a short training. */
const averagedIterations = (iterations: number) => Math.max(1, Math.min(50, iterations / 20));

/** Exponent of the importance weights at an iteration: 1 first, then linearly to the last one. */
export function weightExponent(iteration: number, iterations: number, last: number): number {
  const ramp = (iteration / iterations - EXPONENT_FROM) / (1 - EXPONENT_FROM);
  return 1 + (last - 1) * Math.min(1, Math.max(0, ramp));
}

export class MintTraining {
  readonly #config: MintConfig;
  readonly #seed: number;
  readonly #adam;
  readonly #average: Float64Array;
  /** The iterate that is drawn from; `model` is its average. */
  #iterate: MintModel;
  #iteration = 0;

  /**
   * @param model the starting point (initialiseMint's); its parameters are copied
   * @param state continue from here, with the same model shape, config and seed
   */
  constructor(model: MintModel, config: MintConfig, seed: number, state?: MintTrainingState) {
    this.#config = config;
    this.#seed = seed;
    this.#adam = newAdamState(model.parameters.length);
    // Estimates of the model given are of its parameters, not of those of `state`.
    const { normalisers: _, ...shape } = model;
    this.#iterate = { ...shape, parameters: (state ?? model).parameters.slice() };
    this.#average = (state ? state.average : model.parameters).slice();
    if (state) {
      this.#iteration = state.iteration;
      this.#adam.m.set(state.m);
      this.#adam.v.set(state.v);
      this.#adam.step = state.iteration;
    }
  }

  /** Iterations done. */
  get iteration(): number {
    return this.#iteration;
  }

  /** The present average; a family with estimated normalisers wants `withEstimates` before use. */
  get model(): MintModel {
    return { ...this.#iterate, parameters: this.#average.slice() };
  }

  state(): MintTrainingState {
    return {
      iteration: this.#iteration,
      parameters: this.#iterate.parameters.slice(),
      m: this.#adam.m.slice(),
      v: this.#adam.v.slice(),
      average: this.#average.slice(),
    };
  }

  async step(jobs: MintJobs): Promise<MintStepReport> {
    const config = this.#config;
    const { samples, iterations } = config;
    const model = withEstimates(this.#iterate, trainingEstimates(config));
    const draw = await jobs.draw(model, this.#seed, this.#iteration * samples, samples);
    const power = weightExponent(this.#iteration, iterations, config.weightExponent);
    const logWeights = draw.energies.map((energy, s) => -energy - draw.logDensity[s]);
    const { ess, logZ } = temperedWeights(logWeights, 0);
    const { weights, exponent } = temperedWeights(
      logWeights.map((w) => power * w),
      config.temperedEss,
    );
    const gradient = await jobs.gradient(model, {
      positions: draw.positions,
      weights,
      count: samples,
    });
    let loss = addRepulsion(model, config.repulsion, gradient);
    for (let s = 0; s < samples; s++) {
      if (weights[s] > 0) loss -= weights[s] * draw.logDensity[s];
    }
    const gradientNorm = clipNorm(gradient, config.gradientClip);
    // A new array: jobs may still hold the old model.
    const parameters = model.parameters.slice();
    const rate = config.learningRate * cosineSchedule(this.#iteration, iterations, LAST_RATE);
    adamUpdate(this.#adam, parameters, gradient, rate);
    this.#iterate = { ...this.#iterate, parameters };
    const share = 1 / averagedIterations(iterations);
    for (let i = 0; i < parameters.length; i++) {
      this.#average[i] += share * (parameters[i] - this.#average[i]);
    }
    this.#iteration++;
    return { loss, ess, temperingExponent: power * exponent, logZ, gradientNorm };
  }
}

/** In-process jobs in float64. */
export function localMintJobs(system: System): MintJobs {
  const size = system.particles * system.dimension;
  let density: MintDensity | null = null;
  const prepared = (model: MintModel) =>
    density?.model === model ? density : (density = new MintDensity(model));
  return {
    draw(model, seed, first, count) {
      const q = prepared(model);
      const positions = drawMint(q, seed, first, count, Stream.mintBatch);
      const logDensity = new Float64Array(count);
      const energies = new Float64Array(count);
      for (let s = 0; s < count; s++) {
        logDensity[s] = q.logDensity(positions, s * size);
        energies[s] = system.energy(positions.subarray(s * size, (s + 1) * size));
      }
      return Promise.resolve({ positions, logDensity, energies });
    },
    gradient(model, { positions, weights, count }) {
      const q = prepared(model);
      const gradient = new Float64Array(model.parameters.length);
      for (let s = 0; s < count; s++) {
        q.addParameterGradient(positions, -weights[s], gradient, s * size);
      }
      return Promise.resolve(gradient);
    },
  };
}
