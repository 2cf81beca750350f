/** Julep's trajectories and gradients: what one job of the executor asks of assembly/julep.ts. */
import { scaleHeads } from "../../julep/egnn.ts";
import type { JulepModel } from "../../julep/model.ts";
import { knotGradient } from "../../julep/schedule.ts";
import type { System } from "../../systems/system.ts";
import {
  type GradientJob,
  type GradientResult,
  LANES,
  type TrajectoryJob,
  type TrajectoryResult,
} from "../backend.ts";
import { fromBlocks, type JulepAddresses, packJulepJob, toBlocks } from "./julep.ts";
import type { KernelInstance } from "./module.ts";
import type { Tapes } from "./tapes.ts";

/** What an executor was prepared with. */
export interface JulepProblem {
  readonly system: System;
  /** N·n. */
  readonly size: number;
  readonly transport: JulepModel;
  readonly addresses: JulepAddresses;
}

interface Trajectories extends Pick<TrajectoryResult, "increments" | "states" | "forces"> {
  /** (count, N, n), where the paths end. */
  readonly end: Float32Array;
  /** Σ log k⁻ − log k⁺, (count). */
  readonly logKernelRatio: Float64Array;
}

/**
 * Whole paths.
 *
 * @param start (count, N, n), in the gauge
 * @param key of the random numbers
 * @param tapes address of the tapes of job.windows; 0: none are kept
 */
export function runTrajectories(
  { exports, memory }: KernelInstance,
  { system, size, transport, addresses }: JulepProblem,
  job: TrajectoryJob,
  start: Float32Array,
  key: readonly [number, number],
  tapes: number,
): Trajectories {
  const { count, times } = job;
  const mark = memory.mark();
  const T = times.length - 1;
  const blocks = Math.ceil(count / LANES);
  const padded = blocks * LANES;
  const x = memory.alloc(4 * padded * size);
  const ratio = memory.alloc(8 * padded);
  const kept = job.keep ? (T + 1) * padded * size : 0;
  const increments = job.keep ? memory.alloc(8 * T * padded) : 0;
  const states = job.keep ? memory.alloc(4 * kept) : 0;
  const forces = job.keep ? memory.alloc(4 * kept) : 0;
  const windows = tapes ? memory.alloc(8 * blocks) : 0;
  if (tapes) memory.i32(windows, 2 * blocks).set(job.windows!);
  const forward = job.direction === "forward";
  const packed = packJulepJob(
    exports,
    memory,
    system,
    transport,
    addresses,
    times,
    key,
    forward,
  );
  toBlocks(start, count, size, memory.f32(x, padded * size));
  exports.julepTrajectories(
    packed,
    blocks,
    job.first,
    x,
    ratio,
    increments,
    states,
    forces,
    windows,
    tapes,
  );
  const end = new Float32Array(count * size);
  fromBlocks(memory.f32(x, padded * size), count, size, end);
  const result: Trajectories = { end, logKernelRatio: memory.f64(ratio, padded).slice(0, count) };
  if (!job.keep) {
    memory.release(mark);
    return result;
  }
  const rows = memory.f64(increments, T * padded);
  const own = new Float64Array(T * count);
  for (let i = 0; i < T; i++) {
    own.set(rows.subarray(i * padded, i * padded + count), i * count);
  }
  const withStates = {
    ...result,
    increments: own,
    states: memory.f32(states, kept).slice(),
    forces: memory.f32(forces, kept).slice(),
  };
  memory.release(mark);
  return withStates;
}

/** The gradient along stored paths; `tapes` may hold the network's activations there. */
export function runTrajectoryGradient(
  { exports, memory }: KernelInstance,
  { system, size, transport, addresses }: JulepProblem,
  job: GradientJob,
  tapes: Tapes,
): GradientResult {
  const { count, times } = job;
  const mark = memory.mark();
  const T = times.length - 1;
  const blocks = Math.ceil(count / LANES);
  const padded = blocks * LANES;
  const length = transport.parameters.length;
  const kept = (T + 1) * padded * size;
  const states = memory.alloc(4 * kept);
  const forces = memory.alloc(4 * kept);
  const coefficients = memory.alloc(4 * T * padded);
  const stepCoefficients = memory.alloc(4 * T * padded);
  const windows = memory.alloc(8 * blocks);
  const gradient = memory.alloc(4 * Math.max(length, 1));
  const stepGradient = memory.alloc(8 * T);
  const packed = packJulepJob(
    exports,
    memory,
    system,
    transport,
    addresses,
    times,
    [0, 0],
    true,
  );
  memory.f32(states, kept).set(job.states);
  memory.f32(forces, kept).set(job.forces);
  for (
    const [address, source] of [
      [coefficients, job.coefficients],
      [stepCoefficients, job.stepCoefficients],
    ] as const
  ) {
    const c = memory.f32(address, T * padded).fill(0);
    for (let i = 0; i < T; i++) {
      for (let s = 0; s < count; s++) c[i * padded + s] = source[i * count + s];
    }
  }
  const silenced = silenceDeadLanes(
    memory.f32(states, kept),
    memory.f32(forces, kept),
    [memory.f32(coefficients, T * padded), memory.f32(stepCoefficients, T * padded)],
    T,
    blocks,
    size,
  );
  memory.i32(windows, 2 * blocks).set(job.windows);
  memory.f32(gradient, length).fill(0);
  memory.f64(stepGradient, T).fill(0);
  exports.julepGradient(
    packed,
    blocks,
    states,
    forces,
    coefficients,
    stepCoefficients,
    windows,
    gradient,
    stepGradient,
    silenced ? 0 : tapes.find(job), // The tapes of dead lanes hold NaN.
  );
  const parameters = Float64Array.from(memory.f32(gradient, length));
  if (transport.network) scaleHeads(transport.network, parameters);
  const result = {
    parameters,
    logStepSize: knotGradient(
      transport.logStepSize.length,
      times,
      memory.f64(stepGradient, T).slice(),
    ),
  };
  memory.release(mark);
  return result;
}

/**
 * A path that left the finite numbers has zero coefficients, but 0·NaN is NaN: its forces and
 * coefficients are set to zero, its states to particles in a row, which a pair flow can move. Tells
 * whether there was one.
 */
function silenceDeadLanes(
  states: Float32Array,
  forces: Float32Array,
  coefficients: readonly Float32Array[],
  T: number,
  blocks: number,
  size: number,
): boolean {
  let any = false;
  for (let b = 0; b < blocks; b++) {
    for (let lane = 0; lane < LANES; lane++) {
      let sum = 0;
      for (let i = 0; i <= T; i++) {
        for (let a = 0; a < size; a++) {
          const at = ((i * blocks + b) * size + a) * LANES + lane;
          sum += states[at] * 0 + forces[at] * 0;
        }
        for (const c of i < T ? coefficients : []) sum += c[(i * blocks + b) * LANES + lane] * 0;
      }
      if (sum === 0) continue;
      any = true;
      for (let i = 0; i <= T; i++) {
        for (let a = 0; a < size; a++) {
          const at = ((i * blocks + b) * size + a) * LANES + lane;
          states[at] = a;
          forces[at] = 0;
        }
        for (const c of i < T ? coefficients : []) c[(i * blocks + b) * LANES + lane] = 0;
      }
    }
  }
  return any;
}
