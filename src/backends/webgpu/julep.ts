/**
 * Host side of shaders/julep.wgsl and julep_gradient.wgsl: whole trajectories in one submission, and
 * the gradient of the loss along trajectories that stayed on the device.
 */
import type { JulepModel } from "../../julep/model.ts";
import { levelsAt, rowsAt } from "../../julep/pair_path.ts";
import { stepSizes } from "../../julep/schedule.ts";
import type { MintModel } from "../../mint/model.ts";
import type { System } from "../../systems/system.ts";
import { LANES } from "../backend.ts";
import { problemConstants } from "./constants.ts";
import type { Dispatch } from "./device.ts";
import { packEgnn } from "./egnn.ts";
import type { GpuKernels, PreparedKernel } from "./kernels.ts";
import { GpuError } from "./errors.ts";
import { packPrior, priorLayout } from "./orbit_vmf.ts";

/** What trajectories need of a problem, ready for the device. */
export interface GpuTransport {
  readonly system: System;
  readonly mint: MintModel;
  readonly julep: JulepModel;
}

export interface TrajectoryInput {
  /** (count, N·n), in the gauge. */
  readonly start: Float32Array;
  readonly times: Float64Array;
  readonly forward: boolean;
  readonly key: readonly [number, number];
  /** Number of the first sample. */
  readonly first: number;
  readonly count: number;
  /** Name of the buffer that keeps states and forces; null: not kept. */
  readonly keepAs: string | null;
}

export interface TrajectoryOutput {
  /** (count, N·n). */
  readonly end: Float32Array;
  /** log k⁻ − log k⁺ of every step, (T, count). */
  readonly ratios: Float32Array;
  /** U_t of every state, (T + 1, count). */
  readonly energies: Float32Array;
}

/** One stored batch of trajectories on the device. */
export interface KeptBatch {
  readonly buffer: string;
  readonly count: number;
  /** Samples whose numbers all stayed finite. */
  readonly alive: Uint8Array;
}

/** Floating-point operations of one dispatch at most, so that no driver takes it for hung. */
const WORK_OF_A_DISPATCH = 2e10;

/** Turns of loops in one dispatch at most, below the 65535 of llvmpipe. */
const TURNS_OF_A_DISPATCH = 50000;

/** Turns that a thread's loops take at one state, rather too many; measured on llvmpipe: 0.7 of it. */
function turnsOfState({ system, mint, julep }: GpuTransport, W: number, backward: boolean): number {
  const { particles: N, dimension: n } = system;
  const times = (items: number) => Math.ceil(items / W);
  const terms = mint.components * priorLayout(mint).labellings;
  const orbit = 4 * N + (n === 3 ? 60 : 0);
  const prior = backward ? 0 : times(terms) * orbit + terms / N * times(N * N) * orbit;
  const base = prior + 8 * N * times(N) + 400;
  const net = julep.network;
  if (!net) return base;
  const H = net.hidden;
  const TE = Math.min(64, Math.max(4, Math.floor(256 / H) * 4));
  const product = times(TE / 4 * H) * (H / 4 + 3);
  const rows = Math.ceil(TE / (N - 1)) + 1;
  const tiles = Math.ceil(N * (N - 1) / TE);
  const dense = times(N / 4 * H) * (H / 4 + 4);
  let tile = product + times(rows * H) * N + 12;
  let layer = 5 * dense;
  if (backward) {
    tile += 2 * product + times(H * H) * (TE / 4 + 2) + times(2 * H) * (2 * TE + 4);
    layer = 16 * dense + 5 * times(H * H) * (N / 4 + 3) + 3 * times(H) * N;
  }
  return 1.4 * (base + net.layers * (tiles * tile + layer));
}

/** Operations of force and network at one state, roughly. */
function costOfState({ system, julep }: GpuTransport): number {
  const N = system.particles;
  const net = julep.network;
  const edges = N * (N - 1);
  if (!net) return 30 * edges + 1000;
  return 30 * edges + 2 * net.layers * net.hidden ** 2 * (edges + 6 * N);
}

/**
 * Times, then h = εΔ, σ = √(2h), 1/σ and Δ of every step; then of every state the force's clip, the row of
 * its level, and the pair drift's table (shaders/common/pair_path.wgsl).
 */
function schedule(julep: JulepModel, times: Float64Array): Float32Array<ArrayBuffer> {
  const T = times.length - 1;
  const eps = stepSizes(julep.logStepSize, times);
  const { path, pairDrift } = julep;
  const nodes = (pairDrift?.cells ?? 0) + 1;
  const out = new Float32Array(10 * T + 6 + (T + 1) * nodes);
  out.set(times);
  for (let i = 0; i < T; i++) {
    const duration = times[i + 1] - times[i];
    const h = eps[i] * duration;
    out[T + 1 + i] = h;
    out[2 * T + 1 + i] = Math.sqrt(2 * h);
    out[3 * T + 1 + i] = 1 / Math.sqrt(2 * h);
    out[4 * T + 1 + i] = duration;
  }
  out.fill(julep.forceClip ?? 0, 5 * T + 1, 6 * T + 2);
  if (path) {
    out.set(rowsAt(path.clip, 1, times), 5 * T + 1);
    out.set(levelsAt(path, times), 6 * T + 2);
  }
  if (pairDrift) out.set(rowsAt(pairDrift.tables, nodes, times), 10 * T + 6);
  return out;
}

export class GpuJulep {
  readonly #kernels: GpuKernels;
  readonly #transport: GpuTransport;
  readonly #size: number;

  constructor(kernels: GpuKernels, transport: GpuTransport) {
    this.#kernels = kernels;
    this.#transport = transport;
    const { system, mint, julep } = transport;
    this.#size = system.particles * system.dimension;
    kernels.upload("prior", packPrior(mint));
    if (julep.network) {
      kernels.upload("parameters", packEgnn(julep.network, julep.parameters));
    } else kernels.device.buffer("parameters", 4);
  }

  /** Samples that one batch can have, a multiple of LANES: no binding may grow beyond the limit. */
  largestBatch(steps: number, keep: boolean): number {
    const perSample = Math.max(
      2 * this.#size + 2,
      2 * steps + 1,
      keep ? 2 * (steps + 1) * this.#size : 0,
    );
    const most = Math.floor(this.#kernels.device.largestBinding / (4 * perSample));
    return Math.max(LANES, Math.floor(most / LANES) * LANES);
  }

  #prepare(name: "julep" | "julep_gradient"): Promise<PreparedKernel> {
    const purpose = name === "julep" ? "trajectories" : "gradient";
    return this.#kernels.prepare(name, problemConstants({ ...this.#transport, purpose }));
  }

  #label(what: string, count: number, steps: number): string {
    const { system, julep } = this.#transport;
    const net = julep.network ? `${julep.network.layers} x ${julep.network.hidden}` : "no network";
    return `${what} of ${count} samples, ${steps} steps, N = ${system.particles}, ${net}`;
  }

  #cutShort(what: string, count: number, steps: number): GpuError {
    return new GpuError(
      `${this.#label(what, count, steps)}: the device cut loops short ` +
        `(${this.#kernels.device.facts.description}); use --backend wasm`,
    );
  }

  /**
   * States that one dispatch takes, one after another: bounded in time, and on llvmpipe in turns of
   * loops.
   *
   * @param operations of one state in all workgroups
   */
  #statesAtOnce({ constants }: PreparedKernel, operations: number, backward: boolean): number {
    const inTime = WORK_OF_A_DISPATCH / operations;
    const inTurns = this.#kernels.device.facts.software
      ? TURNS_OF_A_DISPATCH / turnsOfState(this.#transport, constants.threads, backward)
      : Infinity;
    return Math.max(1, Math.floor(Math.min(inTime, inTurns)));
  }

  /** Runs trajectories from `start` to the other end; one submission, one map. */
  async trajectories(input: TrajectoryInput): Promise<TrajectoryOutput> {
    const { start, times, forward, key, first, count, keepAs } = input;
    const kernels = this.#kernels;
    const { device } = kernels;
    const size = this.#size;
    const T = times.length - 1;
    const width = 2 * size + 2;
    const prepared = await this.#prepare("julep");
    const carried = new Float32Array(count * width);
    for (let s = 0; s < count; s++) {
      carried.set(start.subarray(s * size, (s + 1) * size), s * width);
      carried[s * width + width - 1] = 1;
    }
    const carry = kernels.upload("carry", carried);
    const results = device.buffer("results", (2 * T + 1) * count);
    const kept = keepAs
      ? device.buffer(keepAs, 2 * (T + 1) * count * size)
      : device.buffer("nothing kept", 4);
    const most = Math.min(count, kernels.groupsAtOnce(prepared));
    const buffers = kernels.withScratch(prepared, [
      device.buffer("parameters", 4),
      device.buffer("prior", 4),
      kernels.upload("schedule", schedule(this.#transport.julep, times)),
      carry,
      results,
      kept,
    ], most);
    const visits = this.#statesAtOnce(prepared, costOfState(this.#transport) * most, false);
    const dispatches: Dispatch[] = [];
    for (let offset = 0; offset < count; offset += most) {
      for (let from = 0; from <= T; from += visits) {
        const job = Uint32Array.of(
          first + offset,
          count,
          offset,
          T,
          from,
          Math.min(from + visits, T + 1),
          forward ? 1 : 0,
          keepAs ? 1 : 0,
          key[0],
          key[1],
          Math.ceil(size / 2),
        ).buffer;
        const groups = Math.min(most, count - offset);
        dispatches.push({ kernel: prepared.kernel, job, buffers, groups });
      }
    }
    const [ends, numbers] = await device.run(
      this.#label(`julep (${forward ? "forward" : "backward"} trajectories)`, count, T),
      dispatches,
      [{ buffer: carry, length: count * width }, { buffer: results, length: (2 * T + 1) * count }],
    );
    const end = new Float32Array(count * size);
    for (let s = 0; s < count; s++) {
      if (ends[s * width + width - 1] !== 1) throw this.#cutShort("julep", count, T);
      end.set(ends.subarray(s * width, s * width + size), s * size);
    }
    return {
      end,
      ratios: numbers.subarray(0, T * count),
      energies: numbers.subarray(T * count),
    };
  }

  /**
   * Gradient along one kept batch: ∂loss/∂parameters, and ∂loss/∂log ε added to `stepGradient` (T).
   *
   * @param coefficients (T, count), for the network; stepCoefficients alike, for ε
   * @param windows first step and number of steps for every block of LANES samples
   */
  async gradient(
    batch: KeptBatch,
    times: Float64Array,
    coefficients: Float64Array,
    stepCoefficients: Float64Array,
    windows: Int32Array,
    stepGradient: Float64Array,
  ): Promise<Float32Array> {
    const kernels = this.#kernels;
    const { device } = kernels;
    const { count, alive } = batch;
    const T = times.length - 1;
    const items = itemsOf(windows, count, alive);
    const total = items.length / 3;
    const { parameters: { length } } = this.#transport.julep;
    if (total === 0) return new Float32Array(length);
    const prepared = await this.#prepare("julep_gradient");
    const slotSize = Math.max(length, 1);
    const most = Math.min(kernels.slotCount(total, slotSize), kernels.groupsAtOnce(prepared));
    const perGroup = Math.ceil(total / most);
    const groups = Math.ceil(total / perGroup);
    const inputs = new Float32Array(2 * T * count + items.length);
    inputs.set(coefficients.map((c) => Number.isFinite(c) ? c : 0));
    inputs.set(stepCoefficients.map((c) => Number.isFinite(c) ? c : 0), T * count);
    inputs.set(items, 2 * T * count);
    const slots = device.buffer("slots", groups * slotSize);
    const sums = device.buffer("sums", slotSize);
    const rates = device.buffer("rates", 2 * total + groups);
    const buffers = kernels.withScratch(prepared, [
      device.buffer("parameters", 4),
      kernels.upload("schedule", schedule(this.#transport.julep, times)),
      device.buffer(batch.buffer, 4),
      kernels.upload("coefficients", inputs),
      slots,
      rates,
    ], groups);
    const atOnce = this.#statesAtOnce(prepared, 4 * costOfState(this.#transport) * groups, true);
    const dispatches: Dispatch[] = [];
    for (let from = 0; from < perGroup; from += atOnce) {
      const to = Math.min(from + atOnce, perGroup);
      const job = Uint32Array.of(count, T, total, perGroup, from, to, slotSize).buffer;
      dispatches.push({ kernel: prepared.kernel, job, buffers, groups });
    }
    dispatches.push(await kernels.reduction(slots, groups, slotSize, sums));
    const [gradient, byStep] = await device.run(
      this.#label("julep_gradient", count, T),
      dispatches,
      [{ buffer: sums, length: slotSize }, { buffer: rates, length: 2 * total + groups }],
      [slots, rates],
    );
    if (byStep.subarray(2 * total).some((cut) => cut !== 0)) {
      throw this.#cutShort("julep_gradient", count, T);
    }
    for (let item = 0; item < total; item++) {
      const state = items[3 * item + 1];
      const which = items[3 * item + 2];
      if (which & 1) stepGradient[state] += byStep[2 * item];
      if (which & 2) stepGradient[state - 1] += byStep[2 * item + 1];
    }
    return gradient.subarray(0, length);
  }
}

/** Sample, state, and which kernels act there, for every state inside the samples' windows. */
function itemsOf(windows: Int32Array, count: number, alive: Uint8Array): number[] {
  const items: number[] = [];
  for (let s = 0; s < count; s++) {
    if (!alive[s]) continue;
    const block = Math.floor(s / LANES);
    const first = windows[2 * block];
    const last = first + windows[2 * block + 1];
    for (let j = first; j <= last; j++) {
      items.push(s, j, (j < last ? 1 : 0) + (j > first ? 2 : 0));
    }
  }
  return items;
}
