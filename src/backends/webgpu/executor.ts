/**
 * The WebGPU backend. Trajectories, their gradients and energies run on the device, and stored
 * trajectories stay there; what decides the weights' exactness is float64 on the host (exact.ts), and
 * training the prior and fitting a pair drift runs in the WebAssembly kernels of the same worker.
 */
import { knotGradient } from "../../julep/schedule.ts";
import { drawMint } from "../../mint/mixture.ts";
import { Stream, streamKey } from "../../math/random.ts";
import { InputError } from "../../errors.ts";
import { TERMS } from "../../systems/molecule/energy.ts";
import { Molecule } from "../../systems/molecule/molecule.ts";
import { softening } from "../../systems/molecule/soften.ts";
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
  type SampleRange,
  type TrainJob,
  type TrainResult,
  type TrajectoryJob,
  type TrajectoryResult,
} from "../backend.ts";
import { ExactParts } from "../exact.ts";
import { intoGauge } from "../reference/julep.ts";
import { WasmExecutor } from "../wasm/executor.ts";
import { type DeviceOptions, GpuDevice } from "./device.ts";
import { densityFromDevice } from "./density.ts";
import { DeviceLostError, GpuError } from "./errors.ts";
import { GpuJulep, type KeptBatch } from "./julep.ts";
import type { GpuTransport } from "./julep_record.ts";
import { GpuKernels } from "./kernels.ts";
import { GpuMolecule } from "./molecule.ts";
import { GpuTraining } from "./train.ts";
import { GpuPath } from "./path.ts";
import { gpuChains, gpuIsland, gpuPaths } from "./paths.ts";
import { missingOnGpu } from "./supported.ts";

export interface WebGpuOptions extends DeviceOptions {
  /** Open the device again when it is lost, and do the job again. */
  readonly recover?: boolean;
}

/** Stored trajectories on the device; what the caller holds is its number. */
interface Kept extends SampleRange {
  readonly batches: readonly KeptBatch[];
}

/**
 * Length of a kept result's `states`: the number of the store. The store is a cache: the gradient job
 * names the samples, so it stays a function of its arguments alone, also when the device is lost.
 */
const KEPT = 1;
/** Stores on the device at most; the oldest goes first. */
const MOST_KEPT = 32;

export class WebGpuExecutor implements Executor {
  readonly name = "webgpu";
  readonly #options: WebGpuOptions;
  #device: GpuDevice;
  #kernels: GpuKernels;
  #wasm: Promise<WasmExecutor> | null = null;
  #problem: Problem | null = null;
  #exact: ExactParts | null = null;
  #julep: GpuJulep | null = null;
  #training: GpuTraining | null = null;
  #path: GpuPath | null = null;
  readonly #kept = new Map<number, Kept>();
  #stores = 0;
  #last: Promise<void> = Promise.resolve();

  private constructor(device: GpuDevice, options: WebGpuOptions) {
    this.#device = device;
    this.#kernels = new GpuKernels(device);
    this.#options = options;
  }

  /** Throws InputError with the reason where there is no device. */
  static async create(options: WebGpuOptions = {}): Promise<WebGpuExecutor> {
    try {
      return new WebGpuExecutor(await GpuDevice.open(options), options);
    } catch (error) {
      if (error instanceof GpuError) throw new InputError(`--backend webgpu: ${error.message}`);
      throw error;
    }
  }

  /** The device, for doctor and tests. */
  get device(): GpuDevice {
    return this.#device;
  }

  async prepare(problem: Problem): Promise<void> {
    await this.#alone(async () => {
      this.#problem = problem;
      this.#exact = new ExactParts(problem);
      this.#julep = null;
      this.#training = null;
      this.#path = null;
      this.#forgetAll();
      if (this.#wasm) (await this.#wasm).prepare(problem);
    });
  }

  get #parts(): ExactParts {
    if (!this.#exact) throw new Error("prepare(problem) must come before any job");
    return this.#exact;
  }

  /** The helper for the prior's training, made when first needed. */
  async #helper(): Promise<WasmExecutor> {
    this.#wasm ??= (async () => {
      const executor = await WasmExecutor.create();
      if (this.#problem) executor.prepare(this.#problem);
      return executor;
    })();
    return await this.#wasm;
  }

  async drawPrior(job: DrawJob): Promise<PriorDraw> {
    if (job.stream === Stream.mintBatch) return (await this.#helper()).drawPrior(job);
    return this.#parts.drawPrior(job);
  }

  priorLogDensity(positions: Float64Array, count: number): Float64Array {
    return this.#parts.priorLogDensity(positions, count);
  }

  async mintGradient(job: MintGradientJob): Promise<Float64Array> {
    return (await this.#helper()).mintGradient(job);
  }

  async energies(job: EnergyJob): Promise<{ energies: Float64Array; gradients: Float64Array }> {
    const { system } = this.#parts;
    if (system instanceof Molecule) return await this.#alone(() => this.#ofMolecule(system, job));
    const { values, gradients } = await this.#alone(() =>
      this.#kernels.pairEnergies(system, Float32Array.from(job.positions), job.count, job.t)
    );
    return { energies: Float64Array.from(values), gradients: Float64Array.from(gradients) };
  }

  /** U_t and its gradient over kT. */
  async #ofMolecule({ forces, kT, config }: Molecule, { positions, count, t }: EnergyJob) {
    const kernel = new GpuMolecule(this.#kernels, forces.forceField, forces.solvent);
    const soft = softening(config.softCore ?? null, t);
    const { terms, gradients } = await kernel.energies(positions, count, soft);
    const energies = Float64Array.from(
      { length: count },
      (_, s) =>
        terms.subarray(s * TERMS.length, (s + 1) * TERMS.length).reduce((a, u) => a + u) / kT,
    );
    return { energies, gradients: gradients.map((g) => g / kT) };
  }

  /** What trajectories need of the prepared problem; refused by name where a kernel is missing. */
  #problemOnGpu(): GpuTransport {
    const { system, mixture, transport: julep } = this.#parts;
    const mint = mixture.model;
    const missing = missingOnGpu({ molecule: system instanceof Molecule });
    if (missing) throw new InputError(`--backend webgpu ${missing}: use --backend wasm`);
    return { system, mint, julep };
  }

  /** The kernels of the prepared transport, its parameters on the device. */
  #transport(): GpuJulep {
    return this.#julep ??= new GpuJulep(this.#kernels, this.#problemOnGpu());
  }

  /** Whole iterations of training; of the prepared transport only the form counts. */
  async train(job: TrainJob): Promise<TrainResult> {
    return await this.#alone(async () => {
      this.#training ??= new GpuTraining(this.#kernels, this.#problemOnGpu());
      const { mixture } = this.#parts;
      return await this.#training.run(job, (first, count) =>
        this.#inGauge(
          Float32Array.from(drawMint(mixture, job.seed, first, count)),
          count,
        ));
    });
  }

  /** Puts positions (count, N·n) into the transport's gauge. */
  #inGauge(positions: Float32Array<ArrayBuffer>, count: number): Float32Array<ArrayBuffer> {
    const { size, system, transport } = this.#parts;
    const one = new Float64Array(size);
    for (let s = 0; s < count; s++) {
      one.set(positions.subarray(s * size, (s + 1) * size));
      intoGauge(one, system.particles, transport.gauge);
      positions.set(one, s * size);
    }
    return positions;
  }

  async trajectories(job: TrajectoryJob): Promise<TrajectoryResult> {
    return await this.#alone(() => this.#trajectories(job));
  }

  async #trajectories(job: TrajectoryJob): Promise<TrajectoryResult> {
    const parts = this.#parts;
    const { size } = parts;
    const { count, times } = job;
    const T = times.length - 1;
    const forward = job.direction === "forward";
    const key = streamKey(job.seed, forward ? Stream.forward : Stream.backward);
    const drawn = forward ? drawMint(parts.mixture, job.seed, job.first, count) : job.positions!;
    const start = this.#inGauge(Float32Array.from(drawn), count);
    const transport = this.#transport();
    const end = new Float32Array(count * size);
    const ratios = new Float64Array(count);
    // −log q of the end at t = 0, which the trajectory evaluates in any case.
    const logDensity = new Float64Array(count);
    const increments = new Float64Array(job.keep ? T * count : 0);
    const lastEnergies = new Float64Array(count);
    const store = ++this.#stores;
    const batches: KeptBatch[] = [];
    const most = transport.largestBatch(T, job.keep);
    for (let from = 0; from < count; from += most) {
      const n = Math.min(most, count - from);
      const buffer = `kept ${store}, from ${from}`;
      const run = await transport.trajectories({
        start: start.subarray(from * size, (from + n) * size),
        times,
        forward,
        key,
        first: job.first + from,
        count: n,
        keepAs: job.keep ? buffer : null,
      });
      end.set(run.end, from * size);
      const alive = new Uint8Array(n);
      for (let s = 0; s < n; s++) {
        let finite = Number.isFinite(run.energies[s]);
        for (let i = 0; i < T; i++) {
          const ratio = run.ratios[i * n + s];
          const here = run.energies[i * n + s];
          const there = run.energies[(i + 1) * n + s];
          ratios[from + s] += ratio;
          if (job.keep) increments[i * count + from + s] = here - there + ratio;
          finite &&= Number.isFinite(ratio) && Number.isFinite(there);
        }
        alive[s] = finite ? 1 : 0;
        logDensity[from + s] = -run.energies[s];
        lastEnergies[from + s] = run.energies[T * n + s];
      }
      if (job.keep) batches.push({ buffer, count: n, alive });
    }
    const [prior, target] = forward ? [start, end] : [end, start];
    const result: TrajectoryResult = {
      positions: target,
      priorPositions: prior,
      ...parts.pathWeights(
        prior,
        target,
        ratios,
        count,
        densityFromDevice(parts.mixture.model)
          ? logDensity
          // The draws themselves, where they are at hand: the gauge has rounded `prior` again.
          : parts.priorLogDensity(forward ? drawn : prior, count),
      ),
    };
    if (!job.keep) return result;
    if (parts.transport.diffusion) {
      // A comparator's paths may end where U is large: the loss takes it in float64 too.
      for (let s = 0; s < count; s++) {
        increments[(T - 1) * count + s] += lastEnergies[s] - result.energies[s];
      }
    }
    this.#remember(store, { seed: job.seed, first: job.first, count, batches });
    return {
      ...result,
      increments,
      states: Float64Array.of(store),
      forces: new Float64Array(0),
    };
  }

  async trajectoryGradient(job: GradientJob): Promise<GradientResult> {
    const parts = this.#parts;
    const { count, times } = job;
    const T = times.length - 1;
    return await this.#alone(async () => {
      const { batches } = await this.#stored(job);
      const transport = this.#transport();
      const parameters = new Float64Array(parts.transport.parameters.length);
      const stepGradient = new Float64Array(T);
      let from = 0;
      for (const batch of batches) {
        const columns = (source: Float64Array) => {
          const out = new Float64Array(T * batch.count);
          for (let i = 0; i < T; i++) {
            const at = i * count + from;
            out.set(source.subarray(at, at + batch.count), i * batch.count);
          }
          return out;
        };
        const gradient = await transport.gradient(
          batch,
          times,
          columns(job.coefficients),
          columns(job.stepCoefficients),
          job.windows.subarray(2 * from / LANES),
          stepGradient,
          job.throughPath ?? false,
        );
        gradient.forEach((g, i) => parameters[i] += g);
        from += batch.count;
      }
      return {
        parameters,
        logStepSize: knotGradient(parts.transport.logStepSize.length, times, stepGradient),
      };
    });
  }

  /** The trajectories of a gradient job; run again where the store is gone. */
  async #stored(job: GradientJob): Promise<Kept> {
    if (job.states.length !== KEPT) {
      throw new Error("the webgpu backend takes gradients along trajectories it kept itself");
    }
    const kept = this.#kept.get(job.states[0]);
    if (
      kept?.seed === job.seed && kept.first === job.first && kept.count === job.count
    ) return kept;
    const { seed, first, count, times } = job;
    const path = { seed, first, count, times, direction: "forward", keep: true } as const;
    const again = await this.#trajectories(path);
    return this.#kept.get(again.states![0])!;
  }

  #remember(store: number, kept: Kept): void {
    this.#kept.set(store, kept);
    for (const old of this.#kept.keys()) {
      if (this.#kept.size <= MOST_KEPT) break;
      this.#forget(old);
    }
  }

  #forget(store: number): void {
    for (const { buffer } of this.#kept.get(store)?.batches ?? []) this.#device.release(buffer);
    this.#kept.delete(store);
  }

  #forgetAll(): void {
    for (const store of [...this.#kept.keys()]) this.#forget(store);
  }

  /**
   * Does a job when those before it are done (they share buffers); where the device is lost on the way
   * and may be opened again, does it once more.
   */
  async #alone<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    await before;
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DeviceLostError) || !this.#options.recover) throw error;
      console.warn(`${error.message}; opening it again`);
      await this.#reopen(error);
      return await work();
    } finally {
      resolve();
    }
  }

  async #reopen(loss: DeviceLostError): Promise<void> {
    this.#kept.clear();
    this.#julep = null;
    this.#training = null;
    this.#path = null;
    this.#device.destroy();
    try {
      this.#device = await GpuDevice.open(this.#options);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new DeviceLostError(`${loss.message}, and cannot be opened again: ${reason}`);
    }
    this.#kernels = new GpuKernels(this.#device);
  }

  /** The kernels of the prepared path. */
  #onPath(): GpuPath {
    if (this.#path) return this.#path;
    const { system, path } = this.#parts;
    const mint = path.levels.kind === "mixture" ? this.#parts.mixture.model : null;
    const missing = missingOnGpu({ molecule: system instanceof Molecule });
    if (missing) throw new InputError(`--backend webgpu ${missing}: use --backend wasm`);
    return this.#path = new GpuPath(this.#kernels, { system, mint, path });
  }

  async paths(job: PathJob): Promise<PathResult> {
    // A molecule in internal coordinates: by WebAssembly.
    if (this.#parts.internal) return (await this.#helper()).paths(job);
    return await this.#alone(() => gpuPaths(this.#parts, this.#onPath(), job));
  }

  async island(job: IslandJob): Promise<IslandResult> {
    return await this.#alone(() => gpuIsland(this.#parts, this.#onPath(), job));
  }

  /** A flow is fitted, and levels are chosen, once before sampling: by WebAssembly. */
  async fitFlow(job: FlowFitJob): Promise<FlowFitResult> {
    return (await this.#helper()).fitFlow(job);
  }

  async adaptLevels(job: AdaptLevelsJob): Promise<AdaptLevelsResult> {
    return (await this.#helper()).adaptLevels(job);
  }

  async chains(job: ChainsJob): Promise<ChainsResult> {
    const { system } = this.#parts;
    const missing = missingOnGpu({ molecule: system instanceof Molecule });
    if (missing) throw new InputError(`--backend webgpu ${missing}: use --backend wasm`);
    return await this.#alone(() => {
      this.#path = null; // chains and paths share buffers
      return gpuChains(this.#parts, this.#kernels, job);
    });
  }

  dispose(): void {
    this.#kept.clear();
    this.#device.destroy();
    this.#wasm?.then((executor) => executor.dispose());
  }
}
