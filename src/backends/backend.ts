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

export type BackendName = "reference" | "wasm" | "webgpu";

/** What a backend may answer at once or, where a device works, later. */
export type MaybePromise<T> = T | Promise<T>;

/** What an executor is prepared with; sent again whenever parameters change. */
export interface Problem {
  readonly system: SystemConfig;
  readonly mint: MintModel | null;
  readonly julep: JulepModel | null;
  /** For the jobs of path_jobs.ts. */
  readonly path?: PathModel | null;
  /** Molecules in internal coordinates: `paths` then runs these, whatever else is there. */
  readonly internal?: InternalModel | null;
}

/** Sample range of a job. */
export interface SampleRange {
  readonly seed: number;
  /** Absolute index of the first sample; a multiple of LANES. */
  readonly first: number;
  readonly count: number;
}

export interface DrawJob extends SampleRange {
  /** The stream of random numbers; training draws from another one than sampling. */
  readonly stream: Stream;
}

export interface PriorDraw {
  /** (count, N, n) float64, rounded to float32 values; particle 0 at the origin. */
  readonly positions: Float64Array;
  /** log q, float64, of the rounded positions. */
  readonly logDensity: Float64Array;
  /** U of the target, float64. */
  readonly energies: Float64Array;
}

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

export interface GradientJob extends SampleRange {
  readonly times: Float64Array;
  readonly states: Float32Array | Float64Array;
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

export interface GradientResult {
  /** ∂loss/∂parameters, in the layout of egnn.ts. */
  readonly parameters: Float64Array;
  /** ∂loss/∂(log ε knots). */
  readonly logStepSize: Float64Array;
}

export interface MintGradientJob {
  readonly count: number;
  /** (count, N, n). */
  readonly positions: Float64Array;
  /** Weight of each sample's −log q in the loss. */
  readonly weights: Float64Array;
}

export interface EnergyJob {
  readonly count: number;
  /** (count, N, n). */
  readonly positions: Float64Array;
  /** Annealing time of the soft core; 1 is the target. */
  readonly t: number;
}

export interface Executor extends PathExecutor {
  readonly name: BackendName;
  prepare(problem: Problem): MaybePromise<void>;
  /** Exact draws of the Mint prior with log q and U. */
  drawPrior(job: DrawJob): MaybePromise<PriorDraw>;
  /** log q of given positions, float64 (translation does not matter). */
  priorLogDensity(positions: Float64Array, count: number): MaybePromise<Float64Array>;
  /** Σ_s weights_s · ∂(−log q(x_s))/∂parameters in MintModel's layout. */
  mintGradient(job: MintGradientJob): MaybePromise<Float64Array>;
  /** U_t and ∂U_t/∂x. */
  energies(job: EnergyJob): MaybePromise<{ energies: Float64Array; gradients: Float64Array }>;
  trajectories(job: TrajectoryJob): MaybePromise<TrajectoryResult>;
  trajectoryGradient(job: GradientJob): MaybePromise<GradientResult>;
  /** Whole iterations of training; only where a device keeps what they need to itself. */
  train?(job: TrainJob): MaybePromise<TrainResult>;
  dispose(): void;
}
