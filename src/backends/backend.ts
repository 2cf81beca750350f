import type { SystemConfig } from "../config/config.ts";
import type { JulepModel } from "../julep/model.ts";
import type { Stream } from "../math/random.ts";
import type { MintModel } from "../mint/model.ts";
import type { PathModel } from "../path/model.ts";
import type { InternalModel } from "../path/internal_sampler.ts";
import type { PathExecutor } from "./path_jobs.ts";
import type { TrainJob, TrainResult } from "./train_job.ts";

export type * from "./path_jobs.ts";
export type * from "./train_job.ts";

/**
 * HOW IT RUNS. An executor does the numerical jobs of both stages for one system. There is one
 * interface and one implementation per backend: reference (float64 TypeScript, the oracle), wasm
 * (AssemblyScript SIMD), webgpu (WGSL). An executor lives in a worker; a pool runs several.
 *
 * Every job names its samples by absolute index (`first`, `count`), all randomness is keyed by
 * (seed, stream, sample, step), and no result depends on how samples are split into jobs, so long
 * as `first` is a multiple of LANES.
 *
 * Positions are flat, sample-major: (count, N, n).
 */
export const LANES = 4;

/** What computes: float64 TypeScript, SIMD WebAssembly, or WGSL on a device. */
export type BackendName = "reference" | "wasm" | "webgpu";

/** What a backend may answer at once or, where a device works, later. */
export type MaybePromise<T> = T | Promise<T>;

/** What an executor is prepared with; sent again whenever parameters change. */
export interface Problem {
  /** What is sampled. */
  readonly system: SystemConfig;
  /** The prior; null where a job needs none. */
  readonly mint: MintModel | null;
  /** The transport; null where a job needs none. */
  readonly julep: JulepModel | null;
  /** For the jobs of path_jobs.ts. */
  readonly path?: PathModel | null;
  /**
   * Molecules in internal coordinates: `paths` then runs these, whatever else is there.
   * @internal
   */
  readonly internal?: InternalModel | null;
}

/** Sample range of a job. */
export interface SampleRange {
  /** What all random numbers of the job are keyed by, an integer from 0 to 2⁵³ − 1. */
  readonly seed: number;
  /** Absolute index of the first sample; a multiple of LANES. */
  readonly first: number;
  /** Samples, at least 1. */
  readonly count: number;
}

/** Draws of the prior. */
export interface DrawJob extends SampleRange {
  /** The stream of random numbers; training draws from another one than sampling. */
  readonly stream: Stream;
}

/** What a DrawJob gives. */
export interface PriorDraw {
  /** (count, N, n) float64, rounded to float32 values; particle 0 at the origin. */
  readonly positions: Float64Array;
  /** log q, float64, of the rounded positions. */
  readonly logDensity: Float64Array;
  /** U of the target, float64. */
  readonly energies: Float64Array;
}

/** Whole paths between prior and target, one way or the other. */
export interface TrajectoryJob extends SampleRange {
  /** Times t_0 = 0 < ... < t_T = 1. */
  readonly times: Float64Array;
  /**
   * "forward": from prior draws made inside the job. "backward": from the given target samples,
   * run by the backward kernels from t = 1 to 0.
   */
  readonly direction: "forward" | "backward";
  /** backward only: (count, N, n). */
  readonly positions?: Float64Array;
  /** Keep states, forces and increments for trajectoryGradient. */
  readonly keep: boolean;
  /**
   * keep only: the windows the gradient will be asked for (see GradientJob). An executor may then
   * hold on to what it computed there, until it is prepared again; results do not depend on it.
   */
  readonly windows?: Int32Array;
}

/** What a TrajectoryJob gives. */
export interface TrajectoryResult {
  /** (count, N, n), the target end: last state (forward) or the given samples (backward). */
  readonly positions: Float32Array;
  /** U at the target end, float64. */
  readonly energies: Float64Array;
  /** W = −U(x_T) − log q(x_0) + Σ log k⁻ − log k⁺; −∞ for a path that left the finite numbers. */
  readonly logWeights: Float64Array;
  /** Positions at the prior end: (count, N, n). */
  readonly priorPositions: Float32Array;
  /** keep only: increments of W, (T, count), U_t taken at the ends of each step. */
  readonly increments?: Float64Array;
  /** keep only: opaque to the caller; handed back to trajectoryGradient. (T+1, blocks, N, n, 4). */
  readonly states?: Float32Array | Float64Array;
  /** keep only: −∇U_t at the states after clipping and gauge, the same layout. */
  readonly forces?: Float32Array | Float64Array;
}

/** The gradient of a loss of the increments along stored trajectories. */
export interface GradientJob extends SampleRange {
  /** As in the TrajectoryJob, (T + 1). */
  readonly times: Float64Array;
  /** As the TrajectoryResult gave them. */
  readonly states: Float32Array | Float64Array;
  /** As the TrajectoryResult gave them. */
  readonly forces: Float32Array | Float64Array;
  /** ∂loss/∂increment, (T, count); steps whose row is outside the window are not visited. */
  readonly coefficients: Float64Array;
  /** The same for the loss that the step size ε is trained by, (T, count). */
  readonly stepCoefficients: Float64Array;
  /** For every block of LANES samples: first step and number of steps of its window. */
  readonly windows: Int32Array;
  /**
   * Comparators only: the gradient of Σ_s c_s W_s through the path, c_s the coefficients' first row,
   * instead of that with the states held fixed.
   */
  readonly throughPath?: boolean;
}

/** What a GradientJob gives, summed over its samples. */
export interface GradientResult {
  /** ∂loss/∂parameters, in the layout of egnn.ts. */
  readonly parameters: Float64Array;
  /** ∂loss/∂(log ε knots). */
  readonly logStepSize: Float64Array;
}

/** The gradient of a weighted sum of −log q. */
export interface MintGradientJob {
  /** Samples, at least 1. */
  readonly count: number;
  /** (count, N, n). */
  readonly positions: Float64Array;
  /** Weight of each sample's −log q in the loss. */
  readonly weights: Float64Array;
}

/** Energies of the target or of its softened form. */
export interface EnergyJob {
  /** Samples, at least 1. */
  readonly count: number;
  /** (count, N, n). */
  readonly positions: Float64Array;
  /** Annealing time of the soft core; 1 is the target. */
  readonly t: number;
}

/**
 * A backend's implementation of all jobs. Each throws before `prepare`, and for a problem that
 * lacks what it needs.
 */
export interface Executor extends PathExecutor {
  /** Which backend it is. */
  readonly name: BackendName;
  /** Takes the problem of all jobs to come. Throws InputError for what the backend cannot do. */
  prepare(problem: Problem): MaybePromise<void>;
  /** Exact draws of the Mint prior with log q and U. */
  drawPrior(job: DrawJob): MaybePromise<PriorDraw>;
  /** log q of given positions, float64 (translation does not matter). */
  priorLogDensity(positions: Float64Array, count: number): MaybePromise<Float64Array>;
  /** Σ_s weights_s · ∂(−log q(x_s))/∂parameters in MintModel's layout. */
  mintGradient(job: MintGradientJob): MaybePromise<Float64Array>;
  /** U_t and ∂U_t/∂x. */
  energies(job: EnergyJob): MaybePromise<{ energies: Float64Array; gradients: Float64Array }>;
  /** Paths with their log-weights (docs/method.md section 3). */
  trajectories(job: TrajectoryJob): MaybePromise<TrajectoryResult>;
  /** The loss's gradient with the stored states held fixed, unless the job says otherwise. */
  trajectoryGradient(job: GradientJob): MaybePromise<GradientResult>;
  /** Whole iterations of training; only where a device keeps what they need to itself. */
  train?(job: TrainJob): MaybePromise<TrainResult>;
  /** Frees what the executor holds; it is of no use afterwards. */
  dispose(): void;
}
