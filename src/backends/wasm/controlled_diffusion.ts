/** Host side of assembly/controlled_diffusion.ts: packs a job, runs paths and gradients. */
import { DIFFERENCE, diffusionSteps } from "../../julep/diffusion.ts";
import type { JulepModel } from "../../julep/model.ts";
import type { System } from "../../systems/system.ts";
import { type GradientJob, LANES } from "../backend.ts";
import { fromBlocks, toBlocks } from "./julep.ts";
import type { KernelInstance } from "./module.ts";

/** Fields of DiffusionJob in assembly/controlled_diffusion.ts, 4 bytes each. */
const JOB_FIELDS = 20;

/** What does not change between jobs. */
export interface DiffusionProblem {
  readonly system: System;
  /** With `diffusion`. */
  readonly julep: JulepModel;
  /** s of the prior. */
  readonly priorScale: number;
  readonly pairParameters: number;
  /** Addresses; 0 without a network. */
  readonly network: number;
  readonly networkScratch: number;
  readonly tape: number;
}

/** A packed job: its address, and per step log σ⁺/σ⁻ times the degrees of freedom. */
function packJob(
  { memory, exports }: KernelInstance,
  problem: DiffusionProblem,
  times: Float64Array,
  key: readonly [number, number],
  forward: boolean,
): { address: number; constants: Float64Array } {
  const { system, julep, priorScale } = problem;
  const { particles: N, dimension: n } = system;
  const T = times.length - 1;
  const diffusion = julep.diffusion!;
  const steps = diffusionSteps(diffusion, julep.logStepSize, times, priorScale);
  const scratch = memory.alloc(exports.diffusionScratchBytes(N, n));
  const timesAt = memory.alloc(4 * (T + 1));
  const schedule = memory.alloc(4 * 9 * T);
  const address = memory.alloc(4 * JOB_FIELDS);
  memory.f32(timesAt, T + 1).set(times);
  const rows = memory.f32(schedule, 9 * T);
  [
    steps.pullForward,
    steps.pullBackward,
    steps.sigmaForward,
    steps.sigmaBackward,
    steps.control,
    steps.scale,
    steps.decay,
    steps.precision,
    steps.descent,
  ].forEach((row, k) => rows.set(row, k * T));
  memory.i32(address, JOB_FIELDS).set([
    N,
    n,
    T,
    0, // clip, a float: below
    system.pairKernel.kind,
    problem.pairParameters,
    problem.network,
    problem.networkScratch,
    problem.tape,
    diffusion.targetForce ? 1 : 0,
    timesAt,
    schedule,
    key[0],
    key[1],
    forward ? 1 : 0,
    scratch,
    0, // attraction, difference and adjointClip, floats: below
    0,
    0,
    diffusion.proximalSteps,
  ]);
  memory.f32(address + 12, 1)[0] = julep.forceClip ?? 0;
  memory.f32(address + 4 * (JOB_FIELDS - 4), 3).set([
    steps.attraction,
    DIFFERENCE * system.lengthScale,
    diffusion.adjointClip ?? 0,
  ]);
  const constants = steps.sigmaForward.map((sigma, i) =>
    (N - 1) * n * Math.log(sigma / steps.sigmaBackward[i])
  );
  return { address, constants };
}

export interface PackedPaths {
  /** (count, N·n), the other end of every path. */
  readonly end: Float32Array;
  /** Σ log k⁻ − log k⁺. */
  readonly logKernelRatio: Float64Array;
  /** `keep` only: log k⁻ − log k⁺ of the steps, (T, count); states and forces in blocks. */
  readonly increments?: Float64Array;
  readonly states?: Float32Array;
  readonly forces?: Float32Array;
}

/** Paths from `start` (count, N·n), their centres of mass at the origin. */
export function runPaths(
  kernels: KernelInstance,
  problem: DiffusionProblem,
  start: Float32Array,
  count: number,
  first: number,
  times: Float64Array,
  key: readonly [number, number],
  forward: boolean,
  keep: boolean,
): PackedPaths {
  const { memory } = kernels;
  const mark = memory.mark();
  const T = times.length - 1;
  const size = problem.system.particles * problem.system.dimension;
  const padded = Math.ceil(count / LANES) * LANES;
  const kept = keep ? (T + 1) * padded * size : 0;
  const x = memory.alloc(4 * padded * size);
  const ratio = memory.alloc(8 * padded);
  const increments = keep ? memory.alloc(8 * T * padded) : 0;
  const states = keep ? memory.alloc(4 * kept) : 0;
  const forces = keep ? memory.alloc(4 * kept) : 0;
  const { address, constants } = packJob(kernels, problem, times, key, forward);
  toBlocks(start, count, size, memory.f32(x, padded * size));
  kernels.exports.diffusionPaths(
    address,
    padded / LANES,
    first,
    x,
    ratio,
    increments,
    states,
    forces,
  );
  const end = new Float32Array(count * size);
  fromBlocks(memory.f32(x, padded * size), count, size, end);
  const all = constants.reduce((sum, c) => sum + c, 0);
  const logKernelRatio = memory.f64(ratio, padded).slice(0, count).map((r) => r + all);
  let result: PackedPaths = { end, logKernelRatio };
  if (keep) {
    const rows = memory.f64(increments, T * padded);
    const own = new Float64Array(T * count);
    for (let i = 0; i < T; i++) {
      for (let s = 0; s < count; s++) own[i * count + s] = rows[i * padded + s] + constants[i];
    }
    result = {
      ...result,
      increments: own,
      states: memory.f32(states, kept).slice(),
      forces: memory.f32(forces, kept).slice(),
    };
  }
  memory.release(mark);
  return result;
}

/** ∂loss/∂parameters along kept paths; see GradientJob. */
export function runGradient(
  kernels: KernelInstance,
  problem: DiffusionProblem,
  job: GradientJob,
): Float64Array {
  const { memory } = kernels;
  const { count, times } = job;
  const length = problem.julep.parameters.length;
  if (length === 0) return new Float64Array(0);
  const mark = memory.mark();
  const T = times.length - 1;
  const size = problem.system.particles * problem.system.dimension;
  const blocks = Math.ceil(count / LANES);
  const padded = blocks * LANES;
  const kept = (T + 1) * padded * size;
  const states = memory.alloc(4 * kept);
  const forces = memory.alloc(4 * kept);
  const coefficients = memory.alloc(4 * T * padded);
  const windows = memory.alloc(8 * blocks);
  const gradient = memory.alloc(4 * length);
  const { address } = packJob(kernels, problem, times, [0, 0], true);
  memory.f32(states, kept).set(job.states);
  memory.f32(forces, kept).set(job.forces);
  const c = memory.f32(coefficients, T * padded).fill(0);
  for (let i = 0; i < T; i++) {
    for (let s = 0; s < count; s++) c[i * padded + s] = job.coefficients[i * count + s];
  }
  silenceDeadLanes(
    [memory.f32(states, kept), memory.f32(forces, kept)],
    c,
    T,
    blocks,
    size,
  );
  memory.i32(windows, 2 * blocks).set(job.windows);
  memory.f32(gradient, length).fill(0);
  if (job.throughPath) {
    // The first row of the coefficients is where the kernel reads.
    kernels.exports.diffusionPathGradient(
      address,
      blocks,
      states,
      forces,
      coefficients,
      gradient,
    );
  } else {
    kernels.exports.diffusionGradient(
      address,
      blocks,
      states,
      forces,
      coefficients,
      windows,
      gradient,
    );
  }
  const result = Float64Array.from(memory.f32(gradient, length));
  memory.release(mark);
  return result;
}

/** 0·NaN is NaN: lanes whose coefficients are all zero get states and forces of zero. */
function silenceDeadLanes(
  arrays: readonly Float32Array[],
  coefficients: Float32Array,
  T: number,
  blocks: number,
  size: number,
): void {
  for (let b = 0; b < blocks; b++) {
    for (let lane = 0; lane < LANES; lane++) {
      const dead = Array.from(
        { length: T },
        (_, i) => coefficients[(i * blocks + b) * LANES + lane],
      ).every((c) => c === 0);
      if (!dead) continue;
      for (let i = 0; i <= T; i++) {
        for (let a = 0; a < size; a++) {
          for (const array of arrays) array[((i * blocks + b) * size + a) * LANES + lane] = 0;
        }
      }
    }
  }
}
