/**
 * Host side of shaders/path.wgsl, level_energy.wgsl and pair_flow.wgsl: populations that go through many
 * levels in one submission. What W + U gains comes back for every level and is summed in float64.
 */
import { Stream, streamKey } from "../../math/random.ts";
import type { MintModel } from "../../mint/model.ts";
import { flowTable } from "../../path/flow.ts";
import { keptVelocity, levelCount, type PathModel } from "../../path/model.ts";
import type { System } from "../../systems/system.ts";
import { LANES } from "../backend.ts";
import type { IslandMoves } from "../path_jobs.ts";
import type { PopulationOptions } from "../population.ts";
import { packFlowTable } from "../wasm/pair_flow.ts";
import { packLevels } from "../wasm/path.ts";
import { problemConstants } from "./constants.ts";
import type { Dispatch, ReadBack } from "./device.ts";
import { GpuError } from "./errors.ts";
import type { GpuKernels, PreparedKernel } from "./kernels.ts";
import { packPrior, priorTurns } from "./mint_prior.ts";

/** Numbers before the levels' rows; see shaders/common/level_energy.wgsl. */
const HEADER = 8;
/** Numbers of a level. */
const ROW = 12;

/** Floating-point operations of one dispatch at most, so that no driver takes it for hung. */
const WORK_OF_A_DISPATCH = 2e10;

/** Turns of loops in one dispatch at most, below the 65535 of llvmpipe. */
const TURNS_OF_A_DISPATCH = 50000;

/** What the kernels need of a problem. */
export interface GpuPathProblem {
  readonly system: System;
  /** The prior of "mixture" paths. */
  readonly mint: MintModel | null;
  readonly path: PathModel;
}

/** What numbers lose where they are rounded to one float. */
function lowParts(values: ArrayLike<number>): Float32Array {
  return Float32Array.from(values, (v) => v - Math.fround(v));
}

/** The path as the kernels read it: place of the tables, levels, tables. */
export function packPath(path: PathModel, dimension: 2 | 3): Float32Array<ArrayBuffer> {
  const rows = packLevels(path, dimension);
  const K = levelCount(path);
  const { flow } = path;
  const nodes = flow ? 2 * (flow.cells + 1) : 0;
  const out = new Float32Array(HEADER + ROW * (K + 1) + K * nodes);
  out[0] = HEADER + ROW * (K + 1);
  for (let k = -1; k < K; k++) {
    const at = HEADER + ROW * (k + 1);
    out.set(rows.subarray(8 * (k + 1), 8 * (k + 2)), at);
    if (k < 0) continue;
    const eta = keptVelocity(path, k, dimension);
    out.set(lowParts([path.stepSize[k], eta, Math.sqrt(1 - eta * eta)]), at + 8);
  }
  if (flow) {
    for (let k = 0; k < K; k++) {
      out.set(packFlowTable(flowTable(flow, k), flow.width), out[0] + k * nodes);
    }
  }
  return out;
}

/** Whether x and v have low parts: decisions to accept part two paths long before rounding does. */
function twoFloats({ path }: GpuPathProblem): boolean {
  return path.kernel === "underdamped";
}

/** Numbers of a sample between dispatches; see `before` in shaders/path.wgsl. */
function carryWidth(problem: GpuPathProblem): number {
  const { particles, dimension } = problem.system;
  return (twoFloats(problem) ? 5 : 3) * particles * dimension + 1;
}

/** Turns that a thread's loops take for one energy of a level, rather too many. */
function turnsOfEnergy({ system, mint, path }: GpuPathProblem, W: number): number {
  const { particles: N } = system;
  const times = (items: number) => Math.ceil(items / W);
  let turns = 2 * N + times(N) * (N + 8) + 60;
  if (path.levels.kind === "mixture" && mint) {
    turns += N + priorTurns(mint, W) + 8 * N * times(N);
  }
  return turns;
}

/** Turns of a level's transition and flow. */
function turnsOfLevel(problem: GpuPathProblem, W: number, evaluations: number): number {
  const { system: { particles: N, dimension: n }, path } = problem;
  const times = (items: number) => Math.ceil(items / W);
  const flow = path.flow ? (N + 1) * (2 + times(N / 2) * (n + 24)) : 0;
  const sums = 8 * (8 + W / 8);
  return 1.4 *
    (evaluations * (turnsOfEnergy(problem, W) + 2 * times(N * n) + N) + flow + sums + 4 * N + 60);
}

/**
 * Levels (or transitions) of so many evaluations each that one dispatch takes, one after another: bounded in
 * time, and on llvmpipe in turns of loops.
 */
export function evaluationsAtOnce(
  problem: GpuPathProblem,
  { device }: GpuKernels,
  { constants }: PreparedKernel,
  groups: number,
  evaluations: number,
): number {
  const { particles: N } = problem.system;
  const inTime = WORK_OF_A_DISPATCH / (groups * evaluations * (30 * N * (N - 1) + 1000));
  const inTurns = device.facts.software
    ? TURNS_OF_A_DISPATCH / turnsOfLevel(problem, constants.threads, evaluations)
    : Infinity;
  return Math.max(1, Math.floor(Math.min(inTime, inTurns)));
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A stretch of levels to go through. */
interface Stretch {
  /** First level, and the one to stop before; on the way back the one above the first, and the last. */
  readonly from: number;
  readonly to: number;
  /** Velocities are drawn first. */
  readonly start: boolean;
  /** The level before `from` has half a kick to come. */
  readonly pending: boolean;
  /** The last level's is done too. */
  readonly finish: boolean;
  /** Who each sample descends from; null: from itself. */
  readonly ancestors: Int32Array | null;
}

/** What the levels of a stretch gave, (levels, count) each, in order of the path's levels. */
export interface LevelGains {
  /** What W + U gains before the level's weight is taken. */
  readonly before: Float32Array;
  /** underdamped: what it gains after that; adjusted: acceptance probabilities. */
  readonly after: Float32Array;
  /** U_k where the weight is taken. */
  readonly energies: Float32Array;
  /** What W + U gains by moves after a resampling at this level. */
  readonly moves: Float32Array;
}

/** How a population moves. */
export interface GpuPopulationOptions extends PopulationOptions {
  readonly forward: boolean;
  /** After every resampling. */
  readonly moves: IslandMoves | null;
}

/** The kernels of one path on a device. One population at a time. */
export class GpuPath {
  readonly #kernels: GpuKernels;
  readonly #problem: GpuPathProblem;
  readonly #size: number;
  readonly #levels: number;

  constructor(kernels: GpuKernels, problem: GpuPathProblem) {
    const { system, mint, path } = problem;
    this.#kernels = kernels;
    this.#problem = problem;
    this.#size = system.particles * system.dimension;
    this.#levels = levelCount(path);
    kernels.upload("path", packPath(path, system.dimension));
    if (path.levels.kind === "mixture" && mint) kernels.upload("path prior", packPrior(mint));
    else kernels.device.buffer("path prior", 4);
  }

  async #prepare(name: string, forward: boolean, moves = false): Promise<PreparedKernel> {
    const { system, mint, path } = this.#problem;
    const { levels } = path;
    const mixture = levels.kind === "mixture";
    const saturates = !mixture && Boolean(levels.saturation);
    const constants = problemConstants({
      system,
      mint: mixture ? mint : null,
      julep: null,
      purpose: "path",
      path: {
        mixture,
        saturates,
        adjusted: path.kernel === "adjusted",
        twoFloats: name === "path" && twoFloats(this.#problem),
        forward,
        moves,
        flow: path.flow,
      },
    });
    return await this.#kernels.prepare(name, constants);
  }

  /** Samples that one population can have, a multiple of LANES: no binding may grow beyond the limit. */
  get largestPopulation(): number {
    const perSample = Math.max(carryWidth(this.#problem), 4 * this.#levels);
    const most = Math.floor(this.#kernels.device.largestBinding / (4 * perSample));
    return Math.max(LANES, Math.floor(most / LANES) * LANES);
  }

  /** A population at `positions` (count, N·n), which are in the gauge. */
  population(
    options: GpuPopulationOptions,
    stream: Stream,
    positions: Float64Array,
  ): GpuPopulation {
    const width = carryWidth(this.#problem);
    const size = this.#size;
    const carry = new Float32Array(options.count * width);
    for (let s = 0; s < options.count; s++) {
      const x = positions.subarray(s * size, (s + 1) * size);
      carry.set(x, s * width);
      if (twoFloats(this.#problem)) carry.set(lowParts(x), s * width + 2 * size);
      carry[(s + 1) * width - 1] = 1;
    }
    this.#kernels.upload("carry 0", carry);
    const prepare = () => this.#prepare("path", options.forward, options.moves !== null);
    return new GpuPopulation(this.#kernels, this.#problem, prepare, options, stream);
  }

  /** U_k and ∂U_k/∂x of positions (count, N, n), gradients clipped on request; level −1 is the prior. */
  async evaluate(level: number, positions: Float32Array, count: number, clip = false) {
    return await this.#batch(
      "level_energy",
      true,
      positions,
      count,
      (offset) => Int32Array.of(level, offset, clip ? 1 : 0, 0).buffer,
    );
  }

  /** Positions after the sweep of a level, or its inverse, and log|J|. */
  async sweep(level: number, positions: Float32Array, count: number, inverse: boolean) {
    return await this.#batch(
      "pair_flow",
      false,
      positions,
      count,
      (offset) => Uint32Array.of(level, offset, inverse ? 1 : 0, 0).buffer,
    );
  }

  async #batch(
    name: string,
    withPrior: boolean,
    positions: Float32Array,
    count: number,
    job: (offset: number) => ArrayBuffer,
  ): Promise<{ values: Float32Array; vectors: Float32Array }> {
    const kernels = this.#kernels;
    const { device } = kernels;
    const size = this.#size;
    const prepared = await this.#prepare(name, true);
    const results = device.buffer("results", count * (size + 1));
    const buffers = [
      device.buffer("path", 4),
      ...(withPrior ? [device.buffer("path prior", 4)] : []),
      kernels.upload("positions", Float32Array.from(positions)),
      results,
    ];
    const [all] = await device.run(
      `${name} of ${count} systems, N = ${this.#problem.system.particles}`,
      kernels.batch(prepared, count, buffers, job),
      [{ buffer: results, length: count * (size + 1) }],
    );
    const values = new Float32Array(count);
    const vectors = new Float32Array(count * size);
    for (let s = 0; s < count; s++) {
      const row = all.subarray(s * (size + 1), (s + 1) * (size + 1));
      vectors.set(row.subarray(0, size), s * size);
      values[s] = row[size];
    }
    return { values, vectors };
  }
}

/** Samples on the device, moving together. */
class GpuPopulation {
  readonly #kernels: GpuKernels;
  readonly #problem: GpuPathProblem;
  readonly #prepare: () => Promise<PreparedKernel>;
  readonly #options: GpuPopulationOptions;
  readonly #key: readonly [number, number];
  readonly #moveKey: readonly [number, number];
  readonly #levels: number;
  readonly #width: number;
  /** The carry buffer that holds the samples. */
  #at = 0;
  /** Dispatches recorded since the last submission, and how many lists of ancestors they use. */
  #recorded: Dispatch[] = [];
  #lists = 0;

  constructor(
    kernels: GpuKernels,
    problem: GpuPathProblem,
    prepare: () => Promise<PreparedKernel>,
    options: GpuPopulationOptions,
    stream: Stream,
  ) {
    this.#key = streamKey(options.seed, stream);
    this.#moveKey = streamKey(options.seed, Stream.islandMove);
    this.#kernels = kernels;
    this.#problem = problem;
    this.#prepare = prepare;
    this.#options = options;
    this.#levels = levelCount(problem.path);
    this.#width = carryWidth(problem);
  }

  /** The samples stand at this place from now on: one that `record` returned since they last moved. */
  moveTo(place: number): void {
    this.#at = place;
  }

  /** Records a stretch of levels from where the samples stand; returns the place where it ends. */
  async record(stretch: Stretch): Promise<number> {
    const { path } = this.#problem;
    const { count, forward, moves } = this.#options;
    const prepared = await this.#prepare();
    const list = stretch.ancestors
      ? this.#kernels.upload(`ancestors ${this.#lists++}`, Float32Array.from(stretch.ancestors))
      : this.#kernels.device.buffer("no ancestors", 4);
    const groups = Math.min(count, this.#kernels.groupsAtOnce(prepared));
    const atOnce = (evaluations: number) =>
      evaluationsAtOnce(this.#problem, this.#kernels, prepared, groups, evaluations);
    const state = { ...stretch, place: this.#at, gather: stretch.ancestors !== null, list };
    if (moves && stretch.ancestors) {
      const most = atOnce(moves.leapfrogs + 1);
      for (let move = 0; move < moves.transitions; move += most) {
        const last = Math.min(move + most, moves.transitions);
        this.#dispatch(prepared, groups, state, state.from, [move, last], false);
      }
    }
    const levels = atOnce(path.kernel === "adjusted" ? path.leapfrogs + 1 : 1);
    while (state.from !== stretch.to) {
      const left = Math.min(levels, Math.abs(stretch.to - state.from));
      const next = state.from + (forward ? left : -left);
      const finish = next !== stretch.to || stretch.finish;
      this.#dispatch(prepared, groups, state, next, [0, 0], finish);
      state.pending = false;
    }
    return state.place;
  }

  /** One dispatch of all samples, as far as level `next`; `state` then stands at its end. */
  #dispatch(
    prepared: PreparedKernel,
    most: number,
    state: Mutable<Stretch> & { place: number; gather: boolean; list: GPUBuffer },
    next: number,
    moves: readonly [number, number],
    finish: boolean,
  ): void {
    const { path } = this.#problem;
    const { count, first } = this.#options;
    const { device } = this.#kernels;
    const carries = [0, 1, 2].map((k) => device.buffer(`carry ${k}`, count * this.#width));
    // Never the place that the stretch began from: it may be wanted again.
    const to = [0, 1, 2].find((k) => k !== this.#at && k !== state.place)!;
    const moving = moves[1] > moves[0];
    const buffers = this.#kernels.withScratch(prepared, [
      device.buffer("path", 4),
      device.buffer("path prior", 4),
      state.list,
      carries[state.place],
      carries[to],
      device.buffer("gains", 4 * this.#levels * count),
    ], most);
    for (let offset = 0; offset < count; offset += most) {
      const job = new ArrayBuffer(96);
      new Uint32Array(job).set([
        first + offset,
        count,
        offset,
        this.#levels,
        state.from,
        next,
        path.leapfrogs,
        path.refreshInterval ?? 1,
        ...this.#key,
        state.start ? 1 : 0,
        state.pending && !moving ? 1 : 0,
        finish ? 1 : 0,
        state.gather ? 1 : 0,
        ...moves,
        this.#options.moves?.transitions ?? 0,
        this.#options.moves?.leapfrogs ?? 0,
        ...this.#moveKey,
      ]);
      new Float32Array(job)[20] = this.#options.moves?.stepFactor ?? 0;
      const groups = Math.min(most, count - offset);
      this.#recorded.push({ kernel: prepared.kernel, job, buffers, groups });
    }
    state.start = state.gather = false;
    state.place = to;
    state.from = next;
  }

  /** Submits what is recorded; gains of levels [low, high) that it went through. */
  async submit(low: number, high: number): Promise<LevelGains> {
    const { count } = this.#options;
    const gains = this.#kernels.device.buffer("gains", 4 * this.#levels * count);
    const length = (high - low) * count;
    const rows = this.#options.moves ? [0, 1, 2, 3] : [0, 1, 2];
    const reads: ReadBack[] = rows.map((row) => ({
      buffer: gains,
      offset: (row * this.#levels + low) * count,
      length,
    }));
    const [before, after, energies, moves = new Float32Array(0)] = await this.#run(reads);
    return { before, after, energies, moves };
  }

  /** Positions of all samples, (count, N·n). */
  async positions(): Promise<Float32Array> {
    const { count } = this.#options;
    const width = this.#width;
    const { particles, dimension } = this.#problem.system;
    const size = particles * dimension;
    const carry = this.#kernels.device.buffer(`carry ${this.#at}`, count * width);
    const [all] = await this.#run([{ buffer: carry, length: count * width }]);
    const out = new Float32Array(count * size);
    for (let s = 0; s < count; s++) {
      if (all[(s + 1) * width - 1] !== 1) {
        throw new GpuError(
          `${this.#label()}: the device cut loops short ` +
            `(${this.#kernels.device.facts.description}); use --backend wasm`,
        );
      }
      out.set(all.subarray(s * width, s * width + size), s * size);
    }
    return out;
  }

  async #run(reads: readonly ReadBack[]): Promise<Float32Array[]> {
    const recorded = this.#recorded;
    this.#recorded = [];
    this.#lists = 0;
    return await this.#kernels.device.run(this.#label(), recorded, reads);
  }

  #label(): string {
    const { system, path } = this.#problem;
    const { count, forward } = this.#options;
    return `path (${path.kernel}, ${forward ? "forward" : "backward"}) of ${count} samples, ` +
      `${this.#levels} levels, N = ${system.particles}`;
  }
}
