/** Training of the Mint prior (eq. 17): weighted maximum likelihood on its own samples. */
import type { PriorDraw } from "../backends/backend.ts";
import type { MintConfig } from "../config/config.ts";
import { adamUpdate, clipNorm, cosineSchedule, newAdamState } from "../math/adam.ts";
import { Stream } from "../math/random.ts";
import type { System } from "../systems/system.ts";
import { addRepulsion, temperedWeights } from "./loss.ts";
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
}

export interface MintStepReport {
  /** −Σ_s w_s log q(x_s), plus the repulsion. */
  readonly loss: number;
  /** ESS of the batch before tempering, as a fraction. */
  readonly ess: number;
  /** Exponent of the tempered weights; 1: not tempered. */
  readonly temperingExponent: number;
  /** log mean exp(−U − log q) over the batch. */
  readonly logZ: number;
  readonly gradientNorm: number;
}

/** Learning rate at the end over the one at the start. */
const LAST_RATE = 0.05;

export class MintTraining {
  readonly #config: MintConfig;
  readonly #seed: number;
  readonly #adam;
  #model: MintModel;
  #iteration = 0;

  /**
   * @param model the starting point (initialiseMint's); its parameters are copied
   * @param state continue from here, with the same model shape, config and seed
   */
  constructor(model: MintModel, config: MintConfig, seed: number, state?: MintTrainingState) {
    this.#config = config;
    this.#seed = seed;
    this.#adam = newAdamState(model.parameters.length);
    this.#model = { ...model, parameters: (state ?? model).parameters.slice() };
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

  /** The present model; each step makes a new one, so that jobs may keep what they were given. */
  get model(): MintModel {
    return this.#model;
  }

  state(): MintTrainingState {
    return {
      iteration: this.#iteration,
      parameters: this.#model.parameters.slice(),
      m: this.#adam.m.slice(),
      v: this.#adam.v.slice(),
    };
  }

  async step(jobs: MintJobs): Promise<MintStepReport> {
    const { samples, temperedEss, gradientClip, iterations, learningRate, repulsion } =
      this.#config;
    const model = this.#model;
    const draw = await jobs.draw(model, this.#seed, this.#iteration * samples, samples);
    const logWeights = draw.energies.map((energy, s) => -energy - draw.logDensity[s]);
    const { weights, exponent, ess, logZ } = temperedWeights(logWeights, temperedEss);
    const gradient = await jobs.gradient(model, {
      positions: draw.positions,
      weights,
      count: samples,
    });
    let loss = addRepulsion(model, repulsion, gradient);
    for (let s = 0; s < samples; s++) {
      if (weights[s] > 0) loss -= weights[s] * draw.logDensity[s];
    }
    const gradientNorm = clipNorm(gradient, gradientClip);
    const parameters = model.parameters.slice();
    const rate = learningRate * cosineSchedule(this.#iteration, iterations, LAST_RATE);
    adamUpdate(this.#adam, parameters, gradient, rate);
    this.#model = { ...model, parameters };
    this.#iteration++;
    return { loss, ess, temperingExponent: exponent, logZ, gradientNorm };
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
