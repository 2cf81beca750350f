/**
 * Jobs on annealing paths (src/path/model.ts). The executor must be prepared with a problem that has
 * `path`, and `mint` where the path's levels are a "mixture". Log-weights are in the anchored measure,
 * as everywhere; the target's energy and the prior's density in them are float64.
 */
import type { PairFlow, PathModel } from "../path/model.ts";
import type { MaybePromise, SampleRange } from "./backend.ts";

/** What a job cost, summed over its samples. */
export interface PathCost {
  /** Evaluations of ∇U_k (each gives U_k too). */
  gradients: number;
  /** Evaluations of an energy alone, the float64 target's at the end included. */
  energies: number;
  /** Sweeps of the pair flow over one configuration. */
  flowPasses: number;
}

/** Annealed paths; sample i has the path of index `first` + i. */
export interface PathJob extends SampleRange {
  /** "forward": from prior draws; "backward": from target samples, by the reversed kernels. */
  readonly direction: "forward" | "backward";
  /** backward only: (count, N, n). */
  readonly positions?: Float64Array;
  /** Give `increments`. */
  readonly keepIncrements?: boolean;
}

/** What a PathJob gives. */
export interface PathResult {
  /** (count, N, n), target end; the centre of mass is at the origin. */
  readonly positions: Float32Array;
  /** U at the target end, float64. */
  readonly energies: Float64Array;
  /** W with E[e^W] = Z forward and E_p[e^{−W}] = 1/Z backward; −∞: the path left the numbers. */
  readonly logWeights: Float64Array;
  /** (count, N, n), prior end. */
  readonly priorPositions: Float32Array;
  /** adjusted: mean acceptance of each level's transitions, (K); underdamped: empty. */
  readonly acceptance: Float64Array;
  /**
   * keepIncrements: what each level adds to W, (K, count): log-weights with respect to exp(−U_k),
   * differenced; the last takes the target itself. Forward only. (Tuning redistributes levels by it.)
   */
  readonly increments?: Float64Array;
  /** What the job cost. */
  readonly cost: PathCost;
}

/** One island of Sequential Monte Carlo: a population that interacts by resampling. */
export interface IslandJob {
  /** What all random numbers of the job are keyed by. */
  readonly seed: number;
  /** Which island; islands are independent and any number of them may run at once. */
  readonly island: number;
  /** Population; a multiple of LANES, at least 2·LANES. */
  readonly population: number;
  /** Systematic resampling when the ESS falls below this fraction, [0, 1]; 0: never. */
  readonly threshold: number;
  /** HMC transitions of every sample after each resampling, for the level it stands at. */
  readonly moves?: IslandMoves;
  /** Molecules in internal coordinates: choose the levels on the way and give them as `times`. */
  readonly adapt?: {
    /** Conditional ESS of each level's step, (0, 1). */
    readonly conditionalEss: number;
    /** Give up beyond this many levels. */
    readonly maximum: number;
  };
}

/** Adjusted moves: they leave exp(−U_k) as it is, and so the weights; copies part from each other. */
export interface IslandMoves {
  /** Transitions after each resampling, at least 1. */
  readonly transitions: number;
  /** Leapfrogs of each transition, at least 1. */
  readonly leapfrogs: number;
  /** Time step in units of the level's Δ. */
  readonly stepFactor: number;
}

/** What an IslandJob gives. */
export interface IslandResult {
  /** (population, N, n), the centre of mass at the origin. */
  readonly positions: Float32Array;
  /** U, float64. */
  readonly energies: Float64Array;
  /** log-weights at the end, scaled so that log mean e^W is the island's log Z. */
  readonly logWeights: Float64Array;
  /** log of an unbiased estimate of Z: the product of the mean weights between resamplings. */
  readonly logZ: number;
  /** Levels after which the population was resampled. */
  readonly resampled: Int32Array;
  /** ESS fraction at each level before resampling, (K). Not a path ESS. */
  readonly ess: Float64Array;
  /** Standard deviation of what each level adds to W (weighted), (K); retimePath uses it. */
  readonly spread: Float64Array;
  /** Index of the prior draw that each sample descends from, (population). */
  readonly ancestors: Int32Array;
  /** Prior draws that have descendants with weight. */
  readonly distinctAncestors: number;
  /** (Σ_a w_a)²/Σ_a w_a², w_a the weight of all descendants of a: never above the final ESS. */
  readonly effectiveAncestors: number;
  /** adjusted: as in PathResult. */
  readonly acceptance: Float64Array;
  /**
   * Molecules in internal coordinates: t of the levels. Levels chosen by one population and fixed from
   * then on leave log Z of others unbiased.
   */
  readonly times?: Float64Array;
  /** What the job cost. */
  readonly cost: PathCost;
}

/** Fits the pair flow of `problem.path` level by level on a moving population. */
export interface FlowFitJob {
  /** What all random numbers of the job are keyed by. */
  readonly seed: number;
  /** Population that fits; a multiple of LANES. */
  readonly population: number;
  /** Resample when the ESS falls below this fraction; 0: never (LJ-13), 0.7 for large clusters. */
  readonly threshold: number;
  /** Ridge of the least squares, relative to the features' variances; default 1e-3. */
  readonly ridge?: number;
}

/** What a FlowFitJob gives. */
export interface FlowFitResult {
  /** To be put into the path. */
  readonly flow: PairFlow;
  /** 1 − Var[increment with flow]/Var[without] (robust), for each level: what the flow explains. */
  readonly explained: Float64Array;
  /** As in IslandResult, with the flow: where retimePath would put levels. */
  readonly spread: Float64Array;
  /** The scale that the line search kept at each level: 1, 0.5 or 0. */
  readonly scale: Float64Array;
  /** What the job cost. */
  readonly cost: PathCost;
}

/** Keeps, of a fine path, the levels that are as far apart as the conditional ESS allows. */
export interface AdaptLevelsJob {
  /** What all random numbers of the job are keyed by. */
  readonly seed: number;
  /** Population of the pilot; a multiple of LANES. */
  readonly population: number;
  /** Conditional ESS between neighbouring levels, (0, 1). */
  readonly conditionalEss: number;
  /** Give up beyond this many levels. */
  readonly maximum: number;
}

/** What an AdaptLevelsJob gives. */
export interface AdaptLevelsResult {
  /**
   * The same path at the chosen levels, without a flow. Chosen by a pilot population and fixed from
   * then on, so that log Z of runs along it stays unbiased.
   */
  readonly path: PathModel;
  /** Which levels of the given path were kept. */
  readonly levels: Int32Array;
  /** What the job cost. */
  readonly cost: PathCost;
}

/** Independent HMC chains on the target; sample index = chain. Needs no path. */
export interface ChainsJob extends SampleRange {
  /** Starts, (count, N, n). */
  readonly positions: Float64Array;
  /** Leapfrogs of a transition. */
  readonly leapfrogs: number;
  /** First guess of the time step; warm-up adapts every chain's own to `targetAcceptance`. */
  readonly stepSize: number;
  /** In (0, 1). */
  readonly targetAcceptance: number;
  /** Transitions before the first kept state. The step size is fixed afterwards. */
  readonly warmup: number;
  /** States kept of each chain. */
  readonly draws: number;
  /** Transitions between kept states, at least 1. */
  readonly thin: number;
}

/** What a ChainsJob gives. */
export interface ChainsResult {
  /** (count, draws, N, n), the centre of mass at the origin. */
  readonly positions: Float32Array;
  /** U of the kept states, float64: (count, draws). */
  readonly energies: Float64Array;
  /** Mean acceptance after warm-up, (count). */
  readonly acceptance: Float64Array;
  /** Adapted step size, (count). */
  readonly stepSize: Float64Array;
  /** What the job cost. */
  readonly cost: PathCost;
}

/** The part of an executor that runs paths. */
export interface PathExecutor {
  /** Annealed paths with exact log-weights, forward or backward. */
  paths(job: PathJob): MaybePromise<PathResult>;
  /** Sequential Monte Carlo on one population. */
  island(job: IslandJob): MaybePromise<IslandResult>;
  /** The pair flow of a cluster's path. */
  fitFlow(job: FlowFitJob): MaybePromise<FlowFitResult>;
  /** A path's levels by their conditional ESS. */
  adaptLevels(job: AdaptLevelsJob): MaybePromise<AdaptLevelsResult>;
  /** HMC chains; every chain's time step is adapted during its warm-up. */
  chains(job: ChainsJob): MaybePromise<ChainsResult>;
}
