/** Host side of assembly/julep.ts: packs what a job is described by; julep_jobs.ts runs it. */
import type { JulepModel } from "../../julep/model.ts";
import { levelsAt, rowsAt, stepFlow } from "../../julep/pair_path.ts";
import { stepSizes } from "../../julep/schedule.ts";
import { LANES } from "../backend.ts";
import type { KernelExports } from "./exports.ts";
import type { KernelMemory } from "./memory.ts";
import type { PairFlow } from "../../path/model.ts";
import { packFlow, writeFlow } from "./pair_flow.ts";

/** Addresses of what does not change between jobs. */
export interface JulepAddresses {
  readonly pairKind: number;
  readonly pairParameters: number;
  readonly prior: number;
  readonly priorScratch: number;
  /** 0 without a network. */
  readonly network: number;
  readonly networkScratch: number;
  /** A tape, and the bytes of any (assembly/julep.ts). */
  readonly tape: number;
  readonly tapeBytes: number;
}

export interface TrajectoryShape {
  readonly particles: number;
  readonly dimension: number;
}

/** Fields of JulepJob in assembly/julep.ts, 4 bytes each. */
const JOB_FIELDS = 30;

/** The tables of the last grid a flow was packed for: all jobs of a training iteration share one. */
const packedSteps = new WeakMap<PairFlow, { times: string; packed: Float32Array }>();

function packSteps(flow: PairFlow, times: Float64Array): Float32Array {
  const name = times.join();
  const known = packedSteps.get(flow);
  if (known?.times === name) return known.packed;
  const packed = packFlow(stepFlow(flow, times));
  packedSteps.set(flow, { times: name, packed });
  return packed;
}

/** Writes the JulepJob structure and its schedule; returns its address (freed by the caller's mark). */
export function packJulepJob(
  kernels: KernelExports,
  memory: KernelMemory,
  shape: TrajectoryShape,
  model: JulepModel,
  addresses: JulepAddresses,
  times: Float64Array,
  key: readonly [number, number],
  forward: boolean,
): number {
  const { particles: N, dimension: n } = shape;
  const T = times.length - 1;
  const channels = model.network?.channels ?? 0;
  const scratch = memory.alloc(kernels.julepScratchBytes(N, n, channels));
  const timesAt = memory.alloc(4 * (T + 1));
  const durationsAt = memory.alloc(4 * T);
  const stepSizesAt = memory.alloc(4 * T);
  const clipsAt = memory.alloc(4 * (T + 1));
  const velocity = model.pairDrift;
  const nodes = (velocity?.cells ?? 0) + 1;
  const levelsAddress = model.path ? memory.alloc(16 * (T + 1)) : 0;
  const velocitiesAddress = velocity ? memory.alloc(4 * nodes * (T + 1)) : 0;
  const flow = model.pairFlow
    ? writeFlow({ memory }, model.pairFlow, N, n, packSteps(model.pairFlow, times)).address
    : 0;
  const job = memory.alloc(4 * JOB_FIELDS);
  const clips = memory.f32(clipsAt, T + 1);
  if (model.path) {
    clips.set(rowsAt(model.path.clip, 1, times));
    memory.f32(levelsAddress, 4 * (T + 1)).set(levelsAt(model.path, times));
  } else {
    clips.fill(model.forceClip ?? 0);
  }
  if (velocity) {
    memory.f32(velocitiesAddress, nodes * (T + 1)).set(rowsAt(velocity.tables, nodes, times));
  }
  memory.f32(timesAt, T + 1).set(times);
  const durations = memory.f32(durationsAt, T);
  for (let i = 0; i < T; i++) durations[i] = times[i + 1] - times[i];
  memory.f32(stepSizesAt, T).set(stepSizes(model.logStepSize, times));
  const heads = (model.drift ? 1 : 0) | (model.evenDrift ? 2 : 0);
  memory.i32(job, JOB_FIELDS).set([
    N,
    n,
    T,
    model.gauge === "anchor" ? model.anchor ?? 0 : -1,
    clipsAt,
    addresses.pairKind,
    addresses.pairParameters,
    addresses.prior,
    addresses.priorScratch,
    addresses.network,
    addresses.networkScratch,
    heads,
    channels,
    model.matrix === "signed" ? 1 : 0,
    timesAt,
    durationsAt,
    stepSizesAt,
    key[0],
    key[1],
    forward ? 1 : 0,
    scratch,
    addresses.tape,
    addresses.tapeBytes,
    levelsAddress,
    velocitiesAddress,
    velocity?.cells ?? 0,
    0, // a float: below
    flow,
    0, // floats: below
    0,
  ]);
  memory.f32(job + 4 * (JOB_FIELDS - 4), 1)[0] = velocity ? 1 / velocity.width : 0;
  if (model.path?.levels.saturation) {
    const { confinement, saturation } = model.path.levels;
    const saturates = memory.f32(job + 4 * (JOB_FIELDS - 2), 2);
    saturates.set([confinement[confinement.length - 1], 1 / saturation ** 2]);
  }
  return job;
}

/**
 * Copies sample-major positions (count, N·n) into blocks (blocks, N·n, LANES); lanes past `count`
 * repeat the last sample.
 */
export function toBlocks(
  positions: ArrayLike<number>,
  count: number,
  size: number,
  out: Float32Array,
): void {
  const blocks = Math.ceil(count / LANES);
  for (let b = 0; b < blocks; b++) {
    for (let lane = 0; lane < LANES; lane++) {
      const s = Math.min(b * LANES + lane, count - 1);
      for (let a = 0; a < size; a++) out[(b * size + a) * LANES + lane] = positions[s * size + a];
    }
  }
}

/** The inverse of toBlocks, without the padding. */
export function fromBlocks(
  blocks: Float32Array,
  count: number,
  size: number,
  out: Float32Array | Float64Array,
): void {
  for (let s = 0, to = 0; s < count; s++) {
    const lane = s % LANES;
    let from = (s - lane) * size + lane;
    for (const end = to + size; to < end; to++, from += LANES) out[to] = blocks[from];
  }
}
