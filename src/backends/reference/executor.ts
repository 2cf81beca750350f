/** The float64 backend: every job in plain TypeScript, one sample at a time. Slow; the oracle. */
import { diffusionSteps } from "../../julep/diffusion.ts";
import { knotGradient, stepSizes } from "../../julep/schedule.ts";
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
import { ExactParts } from "../exact.ts";
import { InternalJulep, referenceForces } from "../internal_julep.ts";
import { internalPaths } from "../internal_paths.ts";
import { runInternalIsland } from "../internal_smc.ts";
import { ReferenceInternalPopulation } from "./internal_path.ts";
import { PathJobs } from "../paths.ts";
import type { StartInternal } from "../../path/internal_population.ts";
import type { PopulationOptions } from "../population.ts";
import type { PathModel } from "../../path/model.ts";
import { ReferenceChains } from "./hmc.ts";
import { ReferencePathEngine } from "./path.ts";
import {
  type ControlledDiffusion,
  controlledPath,
  detachedGradient,
  pathGradient,
} from "./controlled_diffusion.ts";
import { intoGauge, trajectory, trajectoryGradient, type Transport } from "./julep.ts";

export class ReferenceExecutor implements Executor {
  readonly name = "reference";
  #exact: ExactParts | null = null;
  #julep: InternalJulep | null = null;

  prepare(problem: Problem): void {
    this.#exact = new ExactParts(problem, this.#exact);
    this.#julep = null;
  }

  get #parts(): ExactParts {
    if (!this.#exact) throw new Error("prepare(problem) must come before any job");
    return this.#exact;
  }

  get #transport(): Transport {
    const parts = this.#parts;
    return {
      system: parts.system,
      julep: parts.transport,
      priorLogDensity: (x, gradient) => parts.mixture.logDensityAndGradient(x, gradient),
    };
  }

  /** The comparators' kernels, where the model has them. */
  #diffusion(times: Float64Array): ControlledDiffusion | null {
    const { system, transport: julep, mixture } = this.#parts;
    if (!julep.diffusion) return null;
    const priorScale = mixture.model.broadScale;
    const steps = diffusionSteps(julep.diffusion, julep.logStepSize, times, priorScale);
    return { system, julep, priorScale, times, steps };
  }

  drawPrior(job: DrawJob): PriorDraw {
    return this.#parts.drawPrior(job);
  }

  priorLogDensity(positions: Float64Array, count: number): Float64Array {
    return this.#parts.priorLogDensity(positions, count);
  }

  mintGradient(job: MintGradientJob): Float64Array {
    const { mixture, size } = this.#parts;
    const gradient = new Float64Array(mixture.model.parameters.length);
    for (let s = 0; s < job.count; s++) {
      const x = job.positions.slice(s * size, (s + 1) * size);
      // The loss is −Σ w log q.
      mixture.addParameterGradient(x, -job.weights[s], gradient);
    }
    return gradient;
  }

  energies(job: EnergyJob): { energies: Float64Array; gradients: Float64Array } {
    const { system, size } = this.#parts;
    const energies = new Float64Array(job.count);
    const gradients = new Float64Array(job.count * size);
    for (let s = 0; s < job.count; s++) {
      energies[s] = system.energyAndGradient(
        job.positions.slice(s * size, (s + 1) * size),
        gradients.subarray(s * size, (s + 1) * size),
        job.t,
      );
    }
    return { energies, gradients };
  }

  /** Julep in internal coordinates, where the problem has a transport beside an internal prior. */
  #internalJulep(): InternalJulep | null {
    const parts = this.#parts;
    if (!parts.internal || !parts.julep) return null;
    return this.#julep ??= new InternalJulep(
      parts.internal,
      parts.julep,
      referenceForces(parts.internal),
    );
  }

  trajectories(job: TrajectoryJob): TrajectoryResult {
    const parts = this.#parts;
    const internal = this.#internalJulep();
    if (internal) return internal.trajectories(job);
    const transport = this.#transport;
    const diffusion = this.#diffusion(job.times);
    const { size } = parts;
    const { count, times } = job;
    const N = parts.system.particles;
    const { gauge, anchor, logStepSize } = parts.transport;
    const forward = job.direction === "forward";
    const key = streamKey(job.seed, forward ? Stream.forward : Stream.backward);
    const eps = stepSizes(logStepSize, times);
    const T = times.length - 1;
    const drawn = forward ? parts.drawPrior({ ...job, stream: Stream.prior }) : null;
    const starts = drawn?.positions ?? job.positions!;
    const blocks = Math.ceil(count / LANES);
    const prior = new Float32Array(count * size);
    const target = new Float32Array(count * size);
    const ratio = new Float64Array(count);
    const increments = job.keep ? new Float64Array(T * count) : undefined;
    const kept = job.keep ? (T + 1) * blocks * size * LANES : 0;
    const states = job.keep ? new Float64Array(kept) : undefined;
    const forces = job.keep ? new Float64Array(kept) : undefined;
    for (let s = 0; s < count; s++) {
      const start = starts.slice(s * size, (s + 1) * size);
      intoGauge(start, N, gauge, anchor);
      const path = diffusion
        ? controlledPath(diffusion, start, job.direction, key, job.first + s)
        : trajectory(transport, start, times, eps, job.direction, key, job.first + s);
      prior.set(path.states[0], s * size);
      target.set(path.states[T], s * size);
      ratio[s] = path.logKernelRatio;
      if (!states || !forces || !increments) continue;
      for (let i = 0; i < T; i++) increments[i * count + s] = path.increments[i];
      for (let i = 0; i <= T; i++) {
        for (let a = 0; a < size; a++) {
          const at = ((i * blocks + (s >> 2)) * size + a) * LANES + (s & 3);
          states[at] = path.states[i][a];
          forces[at] = path.forces[i][a];
        }
      }
    }
    return {
      positions: target,
      priorPositions: prior,
      ...parts.pathWeights(prior, target, ratio, count, drawn?.logDensity),
      increments,
      states,
      forces,
    };
  }

  trajectoryGradient(job: GradientJob): GradientResult {
    const parts = this.#parts;
    const internal = this.#internalJulep();
    if (internal) return internal.gradient(job);
    const transport = this.#transport;
    const diffusion = this.#diffusion(job.times);
    const { size } = parts;
    const { count, times } = job;
    const { parameters, logStepSize } = parts.transport;
    const T = times.length - 1;
    const blocks = Math.ceil(count / LANES);
    const gradient = new Float64Array(parameters.length);
    const stepGradient = new Float64Array(T);
    for (let s = 0; s < count; s++) {
      const row = (source: Float32Array | Float64Array, i: number) =>
        Float64Array.from(
          { length: size },
          (_, a) => source[((i * blocks + (s >> 2)) * size + a) * LANES + (s & 3)],
        );
      const column = (source: Float64Array) =>
        Float64Array.from({ length: T }, (_, i) => source[i * count + s]);
      const coefficients = column(job.coefficients);
      const stepCoefficients = column(job.stepCoefficients);
      // A dead path has zero coefficients and states that are not numbers.
      if ([...coefficients, ...stepCoefficients].every((c) => c === 0)) continue;
      const states = Array.from({ length: T + 1 }, (_, i) => row(job.states, i));
      const forces = Array.from({ length: T + 1 }, (_, i) => row(job.forces, i));
      const [first, length] = job.windows.subarray(2 * (s >> 2), 2 * (s >> 2) + 2);
      if (diffusion && job.throughPath) {
        pathGradient(diffusion, states, forces, coefficients[0], gradient);
      } else if (diffusion) {
        detachedGradient(diffusion, states, forces, coefficients, first, length, gradient);
      } else {
        trajectoryGradient(
          transport,
          states,
          forces,
          times,
          stepSizes(logStepSize, times),
          coefficients,
          stepCoefficients,
          first,
          length,
          gradient,
          stepGradient,
        );
      }
    }
    return {
      parameters: gradient,
      logStepSize: knotGradient(logStepSize.length, times, stepGradient),
    };
  }

  /** Paths, islands, fits and chains, on float64 populations. */
  get #paths(): PathJobs {
    const parts = this.#parts;
    const problem = (path: PathModel) => ({
      system: parts.system,
      path,
      drawPrior: (options: PopulationOptions) => parts.drawPathPrior(options),
      priorLogDensity: (x: Float64Array, gradient: Float64Array) =>
        parts.mixture.logDensityAndGradient(x, gradient),
    });
    return new PathJobs(parts, {
      engine: (path) => new ReferencePathEngine(problem(path)),
      chains: (options, positions) => new ReferenceChains(parts.system, options, positions),
    });
  }

  readonly #startInternal: StartInternal = (places, options) =>
    new ReferenceInternalPopulation(this.#parts.internal!, places, options);

  paths(job: PathJob): PathResult {
    const { internal } = this.#parts;
    if (internal) return internalPaths(internal, this.#startInternal, job);
    return this.#paths.paths(job);
  }

  island(job: IslandJob): IslandResult {
    const { internal } = this.#parts;
    if (internal) return runInternalIsland(internal, this.#startInternal, job);
    return this.#paths.island(job);
  }

  fitFlow(job: FlowFitJob): FlowFitResult {
    return this.#paths.fitFlow(job);
  }

  adaptLevels(job: AdaptLevelsJob): AdaptLevelsResult {
    return this.#paths.adaptLevels(job);
  }

  chains(job: ChainsJob): ChainsResult {
    return this.#paths.chains(job);
  }

  dispose(): void {
    this.#exact = null;
  }
}
