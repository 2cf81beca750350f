/** The WebAssembly backend: SIMD kernels on blocks of LANES samples, in this worker's own memory. */
import { drawMint } from "../../mint/mixture.ts";
import { Stream, streamKey } from "../../math/random.ts";
import {
  type AdaptLevelsJob,
  type AdaptLevelsResult,
  type ChainsJob,
  type ChainsResult,
  type DrawJob,
  type EnergyJob,
  type Executor,
  type FlowFitJob,
  type FlowFitResult,
  type GradientJob,
  type GradientResult,
  type IslandJob,
  type IslandResult,
  LANES,
  type MintGradientJob,
  type PathJob,
  type PathResult,
  type PriorDraw,
  type Problem,
  type TrajectoryJob,
  type TrajectoryResult,
} from "../backend.ts";
import type { ExecutorOptions } from "../create.ts";
import { ExactParts } from "../exact.ts";
import { InternalJulep, referenceForces } from "../internal_julep.ts";
import { internalPaths } from "../internal_paths.ts";
import { runInternalIsland } from "../internal_smc.ts";
import { ReferenceInternalPopulation } from "../reference/internal_path.ts";
import { intoGauge } from "../reference/julep.ts";
import { type DiffusionProblem, runGradient, runPaths } from "./controlled_diffusion.ts";
import { type PackedEgnn, packEgnn } from "./egnn.ts";
import { fromBlocks, toBlocks } from "./julep.ts";
import { type JulepProblem, runTrajectories, runTrajectoryGradient } from "./julep_jobs.ts";
import { InternalKernel } from "./internal_path.ts";
import { priorFits } from "./internal_prior.ts";
import type { KernelMemory } from "./memory.ts";
import { type KernelInstance, loadKernels } from "./module.ts";
import { type PackedMint, packMint } from "./mint_prior.ts";
import type { StartInternal } from "../../path/internal_population.ts";
import { PathJobs } from "../paths.ts";
import { WasmPathBackend } from "./path.ts";
import { Tapes } from "./tapes.ts";

export class WasmExecutor implements Executor {
  readonly name = "wasm";
  readonly #kernels: KernelInstance;
  readonly #memory: KernelMemory;
  readonly #bottom: number;
  readonly #tapes: Tapes;
  #exact: ExactParts | null = null;
  #julep: InternalJulep | null = null;
  #pairParameters = 0;
  #mint: PackedMint | null = null;
  #network: PackedEgnn | null = null;
  #internal: InternalKernel | null = null;

  private constructor(kernels: KernelInstance) {
    this.#kernels = kernels;
    this.#memory = kernels.memory;
    this.#bottom = kernels.memory.mark();
    this.#tapes = new Tapes(kernels.memory);
  }

  static async create(options: ExecutorOptions = {}): Promise<WasmExecutor> {
    return new WasmExecutor(await loadKernels(options));
  }

  /** Packs system, prior and network into the kernels' memory; everything packed before is gone. */
  prepare(problem: Problem): void {
    const memory = this.#memory;
    memory.release(this.#bottom);
    this.#tapes.clear();
    this.#exact = new ExactParts(problem, this.#exact);
    this.#julep = null;
    const { parameters, scratch = 0 } = this.#exact.system.pairKernel;
    this.#pairParameters = memory.alloc(4 * Math.max(4, parameters.length + scratch));
    memory.f32(this.#pairParameters, parameters.length).set(parameters);
    const { exports } = this.#kernels;
    this.#mint = problem.mint ? packMint(exports, memory, problem.mint) : null;
    const network = problem.julep?.network;
    this.#network = network ? packEgnn(exports, memory, network, problem.julep!.parameters) : null;
    const { internal } = this.#exact;
    this.#internal = internal && priorFits(internal.energy.coordinates, internal.model.prior)
      ? new InternalKernel(this.#kernels, internal, this.#pairParameters)
      : null;
  }

  get #parts(): ExactParts {
    if (!this.#exact) throw new Error("prepare(problem) must come before any job");
    return this.#exact;
  }

  /**
   * Draws with log q in float64, on which the weights' exactness rests. Draws that only train the
   * prior have it from the kernel (error 1e-5), several times faster.
   */
  drawPrior(job: DrawJob): PriorDraw {
    const parts = this.#parts;
    if (job.stream !== Stream.mintBatch) return parts.drawPrior(job);
    const positions = drawMint(parts.mixture, job.seed, job.first, job.count, job.stream);
    return {
      positions,
      logDensity: this.#kernelLogDensity(positions, job.count),
      energies: parts.targetEnergies(positions, job.count),
    };
  }

  /** log q from the kernel, float32 accuracy. */
  #kernelLogDensity(positions: Float64Array, count: number): Float64Array {
    const { size } = this.#parts;
    const prior = this.#mint;
    if (!prior) throw new Error("this job needs a Mint prior: prepare(problem) had none");
    const memory = this.#memory;
    const mark = memory.mark();
    const blocks = Math.ceil(count / LANES);
    const x = memory.alloc(4 * blocks * size * LANES);
    const gradient = memory.alloc(4 * blocks * size * LANES);
    const logDensity = memory.alloc(4 * blocks * LANES);
    toBlocks(positions, count, size, memory.f32(x, blocks * size * LANES));
    this.#kernels.exports.mintPriorBatch(
      prior.address,
      x,
      gradient,
      logDensity,
      blocks,
      prior.scratch,
    );
    const values = Float64Array.from(memory.f32(logDensity, count));
    memory.release(mark);
    return values;
  }

  priorLogDensity(positions: Float64Array, count: number): Float64Array {
    return this.#parts.priorLogDensity(positions, count);
  }

  mintGradient(job: MintGradientJob): Float64Array {
    const { size } = this.#parts;
    const prior = this.#mint;
    if (!prior) throw new Error("this job needs a Mint prior: prepare(problem) had none");
    const memory = this.#memory;
    const mark = memory.mark();
    const length = prior.statistics;
    const x = memory.alloc(4 * size * LANES);
    const weights = memory.alloc(4 * LANES);
    const out = memory.alloc(4 * length);
    memory.f32(out, length).fill(0);
    for (let first = 0; first < job.count; first += LANES) {
      const count = Math.min(LANES, job.count - first);
      toBlocks(
        job.positions.subarray(first * size, (first + count) * size),
        count,
        size,
        memory.f32(x, size * LANES),
      );
      const w = memory.f32(weights, LANES).fill(0);
      // The loss is −Σ w log q.
      for (let lane = 0; lane < count; lane++) w[lane] = -job.weights[first + lane];
      if (w.every((v) => v === 0)) continue;
      this.#kernels.exports.mintPriorParameterGradientBlock(
        prior.address,
        x,
        weights,
        out,
        prior.scratch,
      );
    }
    const gradient = prior.toParameters(memory.f32(out, length));
    memory.release(mark);
    return gradient;
  }

  energies(job: EnergyJob): { energies: Float64Array; gradients: Float64Array } {
    const { system, size } = this.#parts;
    const { count } = job;
    const memory = this.#memory;
    const mark = memory.mark();
    const blocks = Math.ceil(count / LANES);
    const x = memory.alloc(4 * blocks * size * LANES);
    const gradient = memory.alloc(4 * blocks * size * LANES);
    const energy = memory.alloc(4 * blocks * LANES);
    toBlocks(job.positions, count, size, memory.f32(x, blocks * size * LANES));
    this.#kernels.exports.pairEnergiesBatch(
      system.pairKernel.kind,
      this.#pairParameters,
      x,
      gradient,
      energy,
      system.particles,
      system.dimension,
      job.t,
      blocks,
    );
    const gradients = new Float64Array(count * size);
    fromBlocks(memory.f32(gradient, blocks * size * LANES), count, size, gradients);
    const energies = Float64Array.from(memory.f32(energy, blocks * LANES).subarray(0, count));
    memory.release(mark);
    return { energies, gradients };
  }

  #julepProblem(): JulepProblem {
    const { system, size, transport } = this.#parts;
    if (!this.#mint) throw new Error("this job needs a Mint prior: prepare(problem) had none");
    const addresses = {
      pairKind: system.pairKernel.kind,
      pairParameters: this.#pairParameters,
      prior: this.#mint.address,
      priorScratch: this.#mint.scratch,
      network: this.#network?.address ?? 0,
      networkScratch: this.#network?.scratch ?? 0,
      tape: this.#network?.tape ?? 0,
      tapeBytes: this.#network?.tapeBytes ?? 0,
    };
    return { system, size, transport, addresses };
  }

  /** The comparators' kernels, where the model has them. */
  #diffusion(): DiffusionProblem | null {
    const { system, transport, mixture } = this.#parts;
    if (!transport.diffusion) return null;
    return {
      system,
      julep: transport,
      priorScale: mixture.model.broadScale,
      pairParameters: this.#pairParameters,
      network: this.#network?.address ?? 0,
      networkScratch: this.#network?.scratch ?? 0,
      tape: this.#network?.tape ?? 0,
    };
  }

  #diffusionPaths(
    diffusion: DiffusionProblem,
    job: TrajectoryJob,
    start: Float32Array,
    key: readonly [number, number],
    logDensity: Float64Array | undefined,
  ): TrajectoryResult {
    const { count, first, times } = job;
    const forward = job.direction === "forward";
    const { end, logKernelRatio, ...kept } = runPaths(
      this.#kernels,
      diffusion,
      start,
      count,
      first,
      times,
      key,
      forward,
      job.keep,
    );
    const [prior, target] = forward ? [start, end] : [end, start];
    const weights = this.#parts.pathWeights(prior, target, logKernelRatio, count, logDensity);
    if (kept.increments) {
      // The ends of W, so that the increments sum to it up to the prior's normalisation.
      const last = (times.length - 2) * count;
      const size = prior.length / count;
      for (let s = 0; s < count; s++) {
        kept.increments[last + s] -= weights.energies[s];
        const x = prior.subarray(s * size, (s + 1) * size);
        kept.increments[s] += 0.5 * x.reduce((sum, v) => sum + v * v, 0) /
          diffusion.priorScale ** 2;
      }
    }
    return { positions: target, priorPositions: prior, ...weights, ...kept };
  }

  /** Julep in internal coordinates, where the problem has a transport beside an internal prior. */
  #internalJulep(): InternalJulep | null {
    const parts = this.#parts;
    if (!parts.internal || !parts.julep) return null;
    const kernel = this.#internal;
    return this.#julep ??= new InternalJulep(
      parts.internal,
      parts.julep,
      kernel ? (places) => kernel.energies(places) : referenceForces(parts.internal),
    );
  }

  trajectories(job: TrajectoryJob): TrajectoryResult {
    const parts = this.#parts;
    const internal = this.#internalJulep();
    if (internal) return internal.trajectories(job);
    const { system, size } = parts;
    const network = this.#network;
    // Below the mark: tapes stay until the next prepare().
    const tapes = job.windows && network
      ? this.#tapes.make({ ...job, windows: job.windows }, network.tapeBytes)
      : 0;
    const forward = job.direction === "forward";
    const key = streamKey(job.seed, forward ? Stream.forward : Stream.backward);
    const drawn = forward ? parts.drawPrior({ ...job, stream: Stream.prior }) : null;
    const start = new Float32Array(drawn?.positions ?? job.positions!);
    const one = new Float64Array(size);
    for (let s = 0; s < job.count; s++) {
      one.set(start.subarray(s * size, (s + 1) * size));
      intoGauge(one, system.particles, parts.transport.gauge, parts.transport.anchor);
      start.set(one, s * size);
    }
    const diffusion = this.#diffusion();
    if (diffusion) return this.#diffusionPaths(diffusion, job, start, key, drawn?.logDensity);

    const { end, logKernelRatio, ...kept } = runTrajectories(
      this.#kernels,
      this.#julepProblem(),
      job,
      start,
      key,
      tapes,
    );
    const [prior, target] = forward ? [start, end] : [end, start];
    const weights = parts.pathWeights(prior, target, logKernelRatio, job.count, drawn?.logDensity);
    return { positions: target, priorPositions: prior, ...weights, ...kept };
  }

  trajectoryGradient(job: GradientJob): GradientResult {
    const parts = this.#parts;
    const internal = this.#internalJulep();
    if (internal) return internal.gradient(job);
    const diffusion = this.#diffusion();
    if (diffusion) {
      return {
        parameters: runGradient(this.#kernels, diffusion, job),
        logStepSize: new Float64Array(parts.transport.logStepSize.length),
      };
    }
    return runTrajectoryGradient(this.#kernels, this.#julepProblem(), job, this.#tapes);
  }

  /** A job on paths; whatever it left in the kernels' memory is freed, thrown errors or not. */
  #onPaths<T>(run: (jobs: PathJobs) => T): T {
    const parts = this.#parts;
    const mark = this.#memory.mark();
    const addresses = {
      pairKind: parts.system.pairKernel.kind,
      pairParameters: this.#pairParameters,
      prior: this.#mint?.address ?? 0,
      priorScratch: this.#mint?.scratch ?? 0,
    };
    try {
      return run(new PathJobs(parts, new WasmPathBackend(this.#kernels, parts, addresses)));
    } finally {
      this.#memory.release(mark);
    }
  }

  /** Populations in internal coordinates: float64 where the kernel has no room for the prior. */
  readonly #startInternal: StartInternal = (places, options) =>
    this.#internal?.start(places, options) ??
      new ReferenceInternalPopulation(this.#parts.internal!, places, options);

  paths(job: PathJob): PathResult {
    const { internal } = this.#parts;
    if (internal) return internalPaths(internal, this.#startInternal, job);
    return this.#onPaths((jobs) => jobs.paths(job));
  }

  island(job: IslandJob): IslandResult {
    const { internal } = this.#parts;
    if (internal) return runInternalIsland(internal, this.#startInternal, job);
    return this.#onPaths((jobs) => jobs.island(job));
  }

  fitFlow(job: FlowFitJob): FlowFitResult {
    return this.#onPaths((jobs) => jobs.fitFlow(job));
  }

  adaptLevels(job: AdaptLevelsJob): AdaptLevelsResult {
    return this.#onPaths((jobs) => jobs.adaptLevels(job));
  }

  chains(job: ChainsJob): ChainsResult {
    return this.#onPaths((jobs) => jobs.chains(job));
  }

  dispose(): void {
    this.#exact = null;
    this.#mint = null;
    this.#network = null;
  }
}
