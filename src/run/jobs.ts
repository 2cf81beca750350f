/** The numerics of both stages on a pool of workers: splits work into jobs, joins results in order. */
import {
  type FlowFitJob,
  type FlowFitResult,
  LANES,
  type PriorDraw,
  type Problem,
  type TrainJob,
  type TrainResult,
  type TrajectoryJob,
  type TrajectoryResult,
} from "../backends/backend.ts";
import type { SystemConfig } from "../config/config.ts";
import type { JulepJobs } from "../julep/train.ts";
import type { JulepModel } from "../julep/model.ts";
import { Stream } from "../math/random.ts";
import type { MintModel } from "../mint/model.ts";
import type { MintJobs } from "../mint/train.ts";
import type { InternalModel } from "../path/internal_sampler.ts";
import type { PathModel } from "../path/model.ts";
import {
  mergeChains,
  type Merged,
  mergeGradients,
  mergePaths,
  mergeTrajectories,
  splitChains,
  splitGradients,
  splitPaths,
  splitTrajectories,
} from "./merge.ts";
import type { RunTrajectories } from "../sampling/draw.ts";
import type { RunChains, RunIslands, RunPaths } from "../sampling/path_draw.ts";
import type { Job, Result } from "../workers/job.ts";
import type { ExecutorPool } from "../workers/pool.ts";

/** Samples per Mint job: fixed, because the order of sums depends on it. */
const MINT_CHUNK = 8 * LANES;

/** Samples in one job of a GPU: enough to fill it, few enough to show progress. */
const GPU_SAMPLES = 512;
/** The same for paths without a network, and chains. */
const GPU_PATHS = 2048;

/** Jobs of one system on one pool; prepares the workers again whenever a model changes. */
export class RunJobs implements MintJobs, JulepJobs {
  readonly #pool: ExecutorPool;
  readonly #system: SystemConfig;
  readonly #signal: AbortSignal | undefined;
  #problem: Problem | null = null;
  /** The prior that trajectories start from. */
  mint: MintModel | null = null;
  /** The prior that trajectories in internal coordinates start from, in place of `mint`. */
  internal: InternalModel | null = null;
  /** JulepJobs: whole iterations, where the pool's worker owns a device. */
  readonly train?: (model: JulepModel, job: TrainJob) => Promise<TrainResult>;

  constructor(pool: ExecutorPool, system: SystemConfig, signal?: AbortSignal) {
    this.#pool = pool;
    this.#system = system;
    this.#signal = signal;
    if (pool.backend === "webgpu") {
      this.train = async (model, job) => {
        await this.#prepare(this.mint, model, null, this.internal);
        return await this.#pool.run("train", job, { signal: this.#signal });
      };
    }
  }

  async #prepare(
    mint: MintModel | null,
    julep: JulepModel | null,
    path: PathModel | null = null,
    internal: InternalModel | null = null,
  ): Promise<void> {
    const last = this.#problem;
    if (
      last && last.mint === mint && last.julep === julep && last.path === path &&
      last.internal === internal
    ) return;
    this.#problem = { system: this.#system, mint, julep, path, internal };
    await this.#pool.prepare(this.#problem);
  }

  /** MintJobs: training draws. */
  draw(model: MintModel, seed: number, first: number, count: number): Promise<PriorDraw> {
    return this.drawPrior(model, seed, first, count, Stream.mintBatch);
  }

  /** Draws of a prior with log q and U. */
  async drawPrior(
    model: MintModel,
    seed: number,
    first: number,
    count: number,
    stream: Stream = Stream.prior,
    chunk = MINT_CHUNK,
  ): Promise<PriorDraw> {
    await this.#prepare(model, null);
    const jobs = split(count, chunk).map(([from, size]) => ({
      seed,
      first: first + from,
      count: size,
      stream,
    }));
    const parts = await this.#pool.map("drawPrior", jobs, { signal: this.#signal });
    return {
      positions: join(parts.map((p) => p.positions)),
      logDensity: join(parts.map((p) => p.logDensity)),
      energies: join(parts.map((p) => p.energies)),
    };
  }

  /** log q of given positions (count, N, n). */
  async priorLogDensity(model: MintModel, positions: Float64Array, count: number) {
    await this.#prepare(model, null);
    const size = positions.length / count;
    const jobs = split(count, 16 * MINT_CHUNK).map(([from, n]) => ({
      positions: positions.slice(from * size, (from + n) * size),
      count: n,
    }));
    return join(await this.#pool.map("priorLogDensity", jobs, { signal: this.#signal }));
  }

  /** MintJobs: Σ_s weights_s · ∂(−log q)/∂parameters. */
  async gradient(
    model: MintModel,
    batch: { positions: Float64Array; weights: Float64Array; count: number },
  ): Promise<Float64Array> {
    await this.#prepare(model, null);
    const size = batch.positions.length / batch.count;
    const jobs = split(batch.count, MINT_CHUNK).map(([from, count]) => ({
      count,
      positions: batch.positions.slice(from * size, (from + count) * size),
      weights: batch.weights.slice(from, from + count),
    }));
    const parts = await this.#pool.map("mintGradient", jobs, { signal: this.#signal });
    const sum = new Float64Array(model.parameters.length);
    for (const part of parts) {
      for (let i = 0; i < sum.length; i++) sum[i] += part[i];
    }
    return sum;
  }

  /** JulepJobs: trajectories of a model from the run's prior. */
  async trajectories(
    model: JulepModel,
    jobs: TrajectoryJob[],
    onResult?: (index: number, result: TrajectoryResult) => void,
  ): Promise<TrajectoryResult[]> {
    await this.#prepare(this.mint, model, null, this.internal);
    // A worker keeps activations for the gradient of its own trajectories.
    const revisit = jobs.some((job) => job.windows);
    if (this.#pool.backend === "webgpu") return await this.#mergedTrajectories(jobs, onResult);
    return await this.#pool.map("trajectories", jobs, { signal: this.#signal, onResult, revisit });
  }

  async #mergedTrajectories(
    jobs: TrajectoryJob[],
    onResult?: (index: number, result: TrajectoryResult) => void,
  ): Promise<TrajectoryResult[]> {
    const merged = mergeTrajectories(jobs, GPU_SAMPLES);
    const results: TrajectoryResult[] = [];
    await this.#pool.forEach("trajectories", merged.map(({ job }) => job), (k, result) => {
      splitTrajectories(merged[k], result).forEach((part, j) => {
        results[merged[k].from + j] = part;
        onResult?.(merged[k].from + j, part);
      });
    }, { signal: this.#signal });
    return results;
  }

  /** JulepJobs: gradients along kept trajectories. */
  async gradients(model: JulepModel, jobs: Parameters<JulepJobs["gradients"]>[1]) {
    await this.#prepare(this.mint, model, null, this.internal);
    if (this.#pool.backend === "webgpu") {
      const merged = mergeGradients(jobs);
      const results = await this.#pool.map("trajectoryGradient", merged.map(({ job }) => job), {
        signal: this.#signal,
      });
      return merged.flatMap((part, k) => splitGradients(part, results[k]));
    }
    return await this.#pool.map("trajectoryGradient", jobs, {
      signal: this.#signal,
      revisit: true,
    });
  }

  /** For draw.ts: trajectories of one model. */
  runTrajectories(model: JulepModel): RunTrajectories {
    return (jobs, onResult) => this.trajectories(model, jobs, onResult);
  }

  /** For path_draw.ts: paths, islands and chains of the run's prior. */
  runPaths(path: PathModel): RunPaths {
    if (this.#pool.backend !== "webgpu") return this.#runOn("paths", path);
    return async (jobs, onResult) => {
      await this.#prepare(this.mint, null, path);
      return await this.#merged("paths", mergePaths(jobs, GPU_PATHS), splitPaths, onResult);
    };
  }

  runIslands(path: PathModel): RunIslands {
    return this.#runOn("island", path);
  }

  /** Chains need neither path nor prior. */
  runChains(): RunChains {
    if (this.#pool.backend !== "webgpu") return this.#runOn("chains", null);
    return async (jobs, onResult) => {
      await this.#prepare(null, null);
      return await this.#merged("chains", mergeChains(jobs, GPU_PATHS), splitChains, onResult);
    };
  }

  /** Fits the pair flow of a path, in one worker: every level needs the one before it. */
  async fitFlow(path: PathModel, job: FlowFitJob): Promise<FlowFitResult> {
    await this.#prepare(this.mint, null, path);
    return await this.#pool.run("fitFlow", job, { signal: this.#signal });
  }

  /** For path_draw.ts: paths of a molecule in internal coordinates. */
  runInternal(model: InternalModel): RunPaths {
    return async (jobs, onResult) => {
      await this.#prepare(null, null, null, model);
      return await this.#pool.map("paths", jobs, { signal: this.#signal, onResult });
    };
  }

  /** Islands of the same. */
  runInternalIslands(model: InternalModel): RunIslands {
    return async (jobs, onResult) => {
      await this.#prepare(null, null, null, model);
      return await this.#pool.map("island", jobs, { signal: this.#signal, onResult });
    };
  }

  #runOn<K extends "paths" | "island" | "chains">(name: K, path: PathModel | null) {
    return async (
      jobs: Job<K>[],
      onResult?: (index: number, result: Result<K>) => void,
    ): Promise<Result<K>[]> => {
      await this.#prepare(path ? this.mint : null, null, path);
      return await this.#pool.map(name, jobs, { signal: this.#signal, onResult });
    };
  }

  /** Runs merged jobs one after the other, and gives the caller the results of his own. */
  async #merged<K extends "paths" | "chains">(
    name: K,
    merged: Merged<Job<K>>[],
    split: (merged: Merged<Job<K>>, result: Result<K>) => Result<K>[],
    onResult?: (index: number, result: Result<K>) => void,
  ): Promise<Result<K>[]> {
    const results: Result<K>[] = [];
    await this.#pool.forEach(name, merged.map(({ job }) => job), (k, result) => {
      split(merged[k], result).forEach((part, j) => {
        results[merged[k].from + j] = part;
        onResult?.(merged[k].from + j, part);
      });
    }, { signal: this.#signal });
    return results;
  }
}

/** [first, count] pieces of `total` in steps of `size`. */
function split(total: number, size: number): [number, number][] {
  const out: [number, number][] = [];
  for (let from = 0; from < total; from += size) out.push([from, Math.min(size, total - from)]);
  return out;
}

function join(parts: readonly Float64Array[]): Float64Array {
  const out = new Float64Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
