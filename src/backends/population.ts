/**
 * What a backend offers to run paths: populations that move level by level, and evaluations of the
 * levels' energies. Everything made of these (weights, resampling, fits, chains) is shared by all
 * backends and float64: paths.ts, smc.ts, fit_flow.ts, adapt_levels.ts, chains.ts.
 *
 * The log-weight of a sample is kept as `accumulated` = W + U_k(x), which starts as −log q(x₀): moves
 * add what W + U_k gains (−ΔKE of a kick, log|J| of a flow, ΔU_k of an adjusted transition), and the
 * energy of whatever level, or of the target, is subtracted when a weight is asked for.
 */
import type { IslandMoves } from "./path_jobs.ts";
import type { PathModel } from "../path/model.ts";

/** Weights of a population after a level. */
export interface LevelWeights {
  /** log of the mean weight. */
  readonly logMean: number;
  /** ESS as a fraction. */
  readonly ess: number;
  /** Relative to the largest; a view that the population's next change may overwrite. */
  readonly weights: Float64Array;
  /** Weighted standard deviation of what the level added to the log-weights. */
  readonly spread: number;
  /** systematicAncestors of the weights (smc.ts), where the population is faster at it. */
  readonly ancestors?: (offset: number) => Int32Array;
}

/** Samples first … first + count − 1 of a stream, moving together. */
export interface Population {
  readonly count: number;
  /** Sum of the transitions' acceptance probabilities at the last `advance` or `retreat`. */
  readonly accepted: number;
  /**
   * Flow and transition of `level`, up to the point where its weight is taken: the end of an adjusted
   * transition, the middle of an underdamped one's kick, where U_k is known from its gradient.
   */
  advance(level: number): void;
  /** The rest of the last level's transition, if it is still to come (`advance` does it first). */
  complete(): void;
  /** The reverse of the whole transition and flow of `level`. */
  retreat(level: number): void;
  /** W with respect to exp(−U_k) at the point that `advance(k)` stopped at, float64. */
  logWeights(): Float64Array;
  /**
   * The weights of `logWeights`, once after each `advance`, for a backend that has them faster than
   * smc.ts would.
   */
  weigh?(): LevelWeights;
  /**
   * Sample s becomes a copy of sample ancestors[s] with W = 0. Who has descendants is one itself:
   * ancestors[ancestors[s]] = ancestors[s].
   */
  resample(ancestors: Int32Array): void;
  /**
   * HMC transitions for the level that `advance` stopped at, which leave W as it is. Their random
   * numbers are those of transition number level·transitions and after of their own stream.
   */
  move(moves: IslandMoves): void;
  /** W + U after `complete` or `retreat`, float64. */
  accumulated(): Float64Array;
  /** (count, N, n). */
  positions(): Float32Array;
  /** Float64 energies of the target at `positions`, the bits of the system's own, where faster; or null. */
  targetEnergies?(): Float64Array | null;
  dispose(): void;
}

export interface PopulationOptions {
  readonly seed: number;
  /** A multiple of LANES. */
  readonly first: number;
  readonly count: number;
}

/** Energies (count) and gradients (count, N, n) of one level at given positions. */
export interface Evaluation {
  readonly energies: Float64Array;
  readonly gradients: Float64Array;
}

/** HMC chains on the target; every call goes on from where the last one ended. */
export interface ChainPopulation {
  /** Acceptance probabilities of the last transition, (count). */
  readonly acceptance: Float64Array;
  /** Transition number `step` of every chain with its own time step. */
  transition(step: number, stepSizes: Float64Array, leapfrogs: number): void;
  /** (count, N, n). */
  positions(): Float32Array;
  dispose(): void;
}

export interface PathEngine {
  /** Prior draws with velocities, ready for advance(0). */
  fromPrior(options: PopulationOptions): Population;
  /** Given target samples with velocities, ready for retreat(K − 1); `accumulated` starts at 0. */
  fromTarget(options: PopulationOptions, positions: Float64Array): Population;
  /** U_k and ∇U_k; level −1 is the prior (up to a constant). */
  evaluate(level: number, positions: Float32Array, count: number): Evaluation;
  /** U_k(x′) − log|J| of the flow of `level` with another table; `positions` is left alone. */
  evaluateAfterFlow(
    level: number,
    table: Float64Array,
    positions: Float32Array,
    count: number,
  ): Float64Array;
  /** Sets the table of one level, in the path's own flow. */
  setFlow(level: number, table: Float64Array): void;
  dispose(): void;
}

/** How a backend makes them. */
export interface PathBackend {
  /** The path must have a flow (its tables are changed by setFlow) where one is to be fitted. */
  engine(path: PathModel): PathEngine;
  chains(options: PopulationOptions, positions: Float64Array): ChainPopulation;
}
