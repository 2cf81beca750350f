/** Host side of assembly/path.ts, hmc.ts and level_energy.ts: packs paths, moves populations. */
import { Stream, streamKey } from "../../math/random.ts";
import { keptVelocity, levelCount, type PathModel } from "../../path/model.ts";
import { LANES } from "../backend.ts";
import type { PairKernel } from "../../systems/system.ts";
import type { ExactParts } from "../exact.ts";
import type { IslandMoves } from "../path_jobs.ts";
import type {
  ChainPopulation,
  Evaluation,
  LevelWeights,
  PathBackend,
  PathEngine,
  Population,
  PopulationOptions,
} from "../population.ts";
import { CHAIN_JITTER } from "../reference/hmc.ts";
import { fromBlocks, type JulepAddresses, toBlocks } from "./julep.ts";
import type { KernelInstance } from "./module.ts";
import { packHalfDeviations, writeFlow } from "./pair_flow.ts";

/** Fields of Levels and PathJob in assembly/, 4 bytes each. */
const LEVELS_FIELDS = 9;
const JOB_FIELDS = 16;
/** The number of the kind in assembly/pair_energies.ts. */
const BEUTLER = 2;

/** Where the system's pairs and the prior stand in the kernels' memory. */
export type PathAddresses = Pick<
  JulepAddresses,
  "pairKind" | "pairParameters" | "prior" | "priorScratch"
>;

/** The f32[8] of every level, the prior (level −1) first; see Levels in assembly/level_energy.ts. */
export function packLevels(path: PathModel, dimension: 2 | 3): Float32Array {
  const K = levelCount(path);
  const { levels } = path;
  const rows = new Float32Array(8 * (K + 1));
  if (levels.kind === "pair_path") {
    const { priorVariance, confinement, saturation } = levels;
    const inverse = saturation ? saturation ** -2 : 0;
    rows.set([0, 1, 1, 1 / priorVariance, confinement[K - 1], inverse]);
  }
  for (let k = 0; k < K; k++) {
    const eta = keptVelocity(path, k, dimension);
    rows.set(
      levels.kind === "mixture" ? [levels.times[k], 0, 0, 0] : [
        levels.depth[k],
        levels.attraction[k],
        levels.softness[k],
        levels.confinement[k],
      ],
      8 * (k + 1),
    );
    rows.set([path.stepSize[k], eta, Math.sqrt(1 - eta * eta), path.clip[k]], 8 * (k + 1) + 4);
  }
  return rows;
}

/** Makes engines and chains on one kernel instance. What they allocate is freed by `dispose`. */
export class WasmPathBackend implements PathBackend {
  readonly #kernels: KernelInstance;
  readonly #parts: ExactParts;
  readonly #addresses: PathAddresses;

  constructor(kernels: KernelInstance, parts: ExactParts, addresses: PathAddresses) {
    this.#kernels = kernels;
    this.#parts = parts;
    this.#addresses = addresses;
  }

  engine(path: PathModel): PathEngine {
    return new WasmPathEngine(this.#kernels, this.#parts, this.#addresses, path);
  }

  chains(options: PopulationOptions, positions: Float64Array): ChainPopulation {
    return new WasmChains(this.#kernels, this.#parts, this.#addresses, options, positions);
  }
}

/** Writes the Levels structure; returns its address. */
export function writeLevels(
  { memory }: KernelInstance,
  parts: ExactParts,
  addresses: PathAddresses,
  kind: 0 | 1,
  packed: Float32Array,
): number {
  const rows = memory.alloc(4 * packed.length);
  const gradient = memory.alloc(16 * parts.size);
  const levels = memory.alloc(4 * LEVELS_FIELDS);
  memory.f32(rows, packed.length).set(packed);
  memory.i32(levels, LEVELS_FIELDS).set([
    parts.system.particles,
    parts.system.dimension,
    kind,
    rows,
    addresses.pairKind,
    addresses.pairParameters,
    addresses.prior,
    addresses.priorScratch,
    gradient,
  ]);
  return levels;
}

class WasmPathEngine implements PathEngine {
  readonly #kernels: KernelInstance;
  readonly #parts: ExactParts;
  readonly #path: PathModel;
  readonly #mark: number;
  readonly #levels: number;
  readonly #flow: number = 0;
  readonly #tables: number = 0;
  readonly #scratch: number;

  constructor(
    kernels: KernelInstance,
    parts: ExactParts,
    addresses: PathAddresses,
    path: PathModel,
  ) {
    const { memory, exports } = kernels;
    this.#kernels = kernels;
    this.#parts = parts;
    this.#path = path;
    this.#mark = memory.mark();
    if (path.levels.kind === "mixture" && addresses.prior === 0) {
      throw new Error("this path needs a Mint prior: prepare(problem) had none");
    }
    const kind = path.levels.kind === "mixture" ? 1 : 0;
    this.#levels = writeLevels(
      kernels,
      parts,
      addresses,
      kind,
      packLevels(path, parts.system.dimension),
    );
    const { particles, dimension } = parts.system;
    this.#scratch = memory.alloc(exports.pathScratchBytes(particles, dimension));
    if (!path.flow) return;
    const written = writeFlow(kernels, path.flow, particles, dimension);
    this.#flow = written.address;
    this.#tables = written.tables;
  }

  fromPrior(options: PopulationOptions): Population {
    const population = this.#population(options, Stream.pathForward);
    const { levels } = this.#path;
    if (levels.kind === "mixture") {
      const { positions, logDensity } = this.#parts.drawPathPrior(options);
      population.setPositions(positions);
      population.setAccumulated(logDensity.map((l) => -l));
    } else {
      const key = streamKey(options.seed, Stream.prior);
      const scale = Math.sqrt(levels.priorVariance);
      this.#kernels.exports.pathPrior(population.address, key[0], key[1], scale);
      const density = this.#parts.pathPriorLogDensity(population.positions(), options.count);
      for (let s = 0; s < density.length; s++) density[s] = -density[s];
      population.setAccumulated(density);
    }
    return population;
  }

  fromTarget(options: PopulationOptions, positions: Float64Array): Population {
    const population = this.#population(options, Stream.pathBackward);
    population.setPositions(positions);
    population.setAccumulated(new Float64Array(options.count));
    return population;
  }

  #population(options: PopulationOptions, stream: Stream): WasmPopulation {
    const { particles, dimension } = this.#parts.system;
    return new WasmPopulation(this.#kernels, this.#path, particles, dimension, options, stream, {
      levels: this.#levels,
      flow: this.#flow,
      scratch: this.#scratch,
    }, this.#parts.system.pairKernel);
  }

  evaluate(level: number, positions: Float32Array, count: number): Evaluation {
    const { memory, exports } = this.#kernels;
    const mark = memory.mark();
    const size = this.#parts.size;
    const blocks = Math.ceil(count / LANES);
    const length = blocks * LANES * size;
    const x = memory.alloc(4 * length);
    const gradient = memory.alloc(4 * length);
    const energy = memory.alloc(4 * blocks * LANES);
    toBlocks(positions, count, size, memory.f32(x, length));
    exports.levelEnergies(this.#levels, level, x, gradient, energy, blocks);
    const gradients = new Float64Array(count * size);
    fromBlocks(memory.f32(gradient, length), count, size, gradients);
    const energies = Float64Array.from(memory.f32(energy, count));
    memory.release(mark);
    return { energies, gradients };
  }

  evaluateAfterFlow(
    level: number,
    table: Float64Array,
    positions: Float32Array,
    count: number,
  ): Float64Array {
    const { memory, exports } = this.#kernels;
    const mark = memory.mark();
    const packed = packHalfDeviations(table, this.#path.flow!.width);
    const at = memory.alloc(4 * packed.length);
    memory.f32(at, packed.length).set(packed);
    const population = this.#population({ seed: 0, first: 0, count }, Stream.pathForward);
    population.setPositions(positions);
    const out = memory.alloc(4 * Math.ceil(count / LANES) * LANES);
    exports.pathTryFlow(population.address, level, at, out);
    const values = Float64Array.from(memory.f32(out, count));
    memory.release(mark);
    return values;
  }

  setFlow(level: number, table: Float64Array): void {
    const packed = packHalfDeviations(table, this.#path.flow!.width);
    const at = this.#tables + 4 * packed.length * level;
    this.#kernels.memory.f32(at, packed.length).set(packed);
  }

  dispose(): void {
    this.#kernels.memory.release(this.#mark);
  }
}

class WasmPopulation implements Population {
  readonly count: number;
  readonly address: number;
  readonly #kernels: KernelInstance;
  readonly #size: number;
  readonly #dimension: number;
  readonly #padded: number;
  readonly #mark: number;
  readonly #x: number;
  readonly #v: number = 0;
  readonly #gains: number = 0;
  readonly #accumulated: number;
  readonly #energies: number;
  readonly #acceptance: number;
  /** f64 each: log-weights at the last `weigh`, weights, and its sums. */
  readonly #logWeights: number;
  readonly #weights: number;
  readonly #sums: number;
  readonly #adjusted: boolean;
  readonly #seed: number;
  readonly #scratch: number;
  readonly #target: PairKernel;
  #level = -1;

  constructor(
    kernels: KernelInstance,
    path: PathModel,
    particles: number,
    dimension: number,
    { seed, first, count }: PopulationOptions,
    stream: Stream,
    shared: { levels: number; flow: number; scratch: number },
    target: PairKernel,
  ) {
    const { memory, exports } = kernels;
    this.count = count;
    this.#seed = seed;
    this.#kernels = kernels;
    this.#scratch = shared.scratch;
    this.#target = target;
    this.#size = particles * dimension;
    this.#dimension = dimension;
    this.#adjusted = path.kernel === "adjusted";
    this.#mark = memory.mark();
    const blocks = Math.ceil(count / LANES);
    this.#padded = blocks * LANES;
    const bytes = 4 * this.#padded * this.#size;
    this.#x = memory.alloc(bytes);
    let means = 0;
    if (!this.#adjusted) {
      this.#v = memory.alloc(bytes);
      this.#gains = memory.alloc(4 * this.#padded);
      means = memory.alloc(3 * 4 * this.#padded);
      memory.f32(means, 3 * this.#padded).fill(0);
    }
    this.#accumulated = memory.alloc(8 * this.#padded);
    this.#energies = memory.alloc(4 * this.#padded);
    this.#acceptance = memory.alloc(4 * this.#padded);
    this.#logWeights = memory.alloc(8 * this.#padded);
    this.#weights = memory.alloc(8 * this.#padded);
    this.#sums = memory.alloc(8 * 5);
    this.address = memory.alloc(4 * JOB_FIELDS);
    const [key0, key1] = streamKey(seed, stream);
    memory.i32(this.address, JOB_FIELDS).set([
      shared.levels,
      shared.flow,
      path.leapfrogs,
      key0,
      key1,
      blocks,
      first,
      this.#x,
      this.#v,
      this.#gains,
      this.#accumulated,
      this.#energies,
      this.#acceptance,
      shared.scratch,
      path.refreshInterval ?? 1,
      means,
    ]);
    memory.f32(this.#acceptance, this.#padded).fill(0);
    memory.f64(this.#logWeights, this.#padded).fill(0);
    if (!this.#adjusted) exports.pathVelocities(this.address, levelCount(path));
  }

  get accepted(): number {
    if (!this.#adjusted) return 0;
    const acceptance = this.#kernels.memory.f32(this.#acceptance, this.count);
    let sum = 0;
    for (let s = 0; s < acceptance.length; s++) sum += acceptance[s];
    return sum;
  }

  /** Sample-major positions (count, N, n), put in the gauge. */
  setPositions(positions: ArrayLike<number>): void {
    const centred = centredPositions(positions, this.count, this.#size, this.#dimension);
    const length = this.#padded * this.#size;
    toBlocks(centred, this.count, this.#size, this.#kernels.memory.f32(this.#x, length));
  }

  setAccumulated(values: Float64Array): void {
    this.#kernels.memory.f64(this.#accumulated, this.#padded).fill(0).set(values);
  }

  advance(level: number): void {
    this.#kernels.exports.pathAdvance(this.address, level, this.#level);
    this.#level = level;
  }

  complete(): void {
    if (this.#level < 0) return;
    this.#kernels.exports.pathComplete(this.address, this.#level);
    this.#level = -1;
  }

  retreat(level: number): void {
    this.#kernels.exports.pathRetreat(this.address, level);
  }

  logWeights(): Float64Array {
    const energies = this.#kernels.memory.f32(this.#energies, this.count);
    const weights = this.accumulated();
    for (let s = 0; s < weights.length; s++) weights[s] -= energies[s];
    return weights;
  }

  weigh(): LevelWeights {
    const { exports, memory } = this.#kernels;
    exports.populationWeights(
      this.#accumulated,
      this.#energies,
      this.#logWeights,
      this.#weights,
      this.count,
      this.#sums,
    );
    const [max, sum, squares, added, addedSquares] = memory.f64(this.#sums, 5);
    const mean = added / sum;
    return {
      logMean: max + Math.log(sum / this.count),
      ess: squares > 0 ? sum * sum / (this.count * squares) : 0,
      weights: memory.f64(this.#weights, this.count),
      spread: Math.sqrt(Math.max(0, addedSquares / sum - mean * mean)),
      ancestors: (offset) => this.#ancestors(offset),
    };
  }

  #ancestors(offset: number): Int32Array {
    const { exports, memory } = this.#kernels;
    const mark = memory.mark();
    const ancestors = memory.alloc(4 * this.count);
    const scratch = memory.alloc(8 * (this.count + 1));
    exports.populationAncestors(this.#weights, this.count, offset, ancestors, scratch);
    const out = memory.i32(ancestors, this.count).slice();
    memory.release(mark);
    return out;
  }

  resample(ancestors: Int32Array): void {
    const { exports, memory } = this.#kernels;
    const mark = memory.mark();
    const at = memory.alloc(4 * this.count);
    memory.i32(at, this.count).set(ancestors);
    exports.pathResample(this.address, at, this.count);
    memory.f64(this.#logWeights, this.count).fill(0);
    memory.release(mark);
  }

  move({ transitions, leapfrogs, stepFactor }: IslandMoves): void {
    const [key0, key1] = streamKey(this.#seed, Stream.islandMove);
    this.#kernels.exports.pathMove(
      this.address,
      this.#level,
      transitions,
      leapfrogs,
      stepFactor,
      key0,
      key1,
    );
  }

  accumulated(): Float64Array {
    return this.#kernels.memory.f64(this.#accumulated, this.count).slice();
  }

  positions(): Float32Array {
    const out = new Float32Array(this.count * this.#size);
    const blocks = this.#kernels.memory.f32(this.#x, this.#padded * this.#size);
    fromBlocks(blocks, this.count, this.#size, out);
    return out;
  }

  targetEnergies(): Float64Array | null {
    const { kind, parameters: [epsilon, oscillator] } = this.#target;
    if (kind !== BEUTLER) return null;
    const { exports, memory } = this.#kernels;
    const N = this.#size / 3;
    const blocks = this.#padded / LANES;
    // The weights are done with.
    const out = this.#weights;
    exports.lennardJonesTargets(this.#x, out, N, epsilon, oscillator, blocks, this.#scratch);
    return memory.f64(out, this.count).slice();
  }

  dispose(): void {
    this.#kernels.memory.release(this.#mark);
  }
}

/** A copy with every sample's centre of mass at the origin. */
export function centredPositions(
  positions: ArrayLike<number>,
  count: number,
  size: number,
  dimension: number,
): Float64Array {
  const out = Float64Array.from(positions).subarray(0, count * size);
  const particles = size / dimension;
  for (let s = 0; s < count; s++) {
    for (let a = 0; a < dimension; a++) {
      let mean = 0;
      for (let i = a; i < size; i += dimension) mean += out[s * size + i] / particles;
      for (let i = a; i < size; i += dimension) out[s * size + i] -= mean;
    }
  }
  return out;
}

class WasmChains implements ChainPopulation {
  readonly acceptance: Float64Array;
  readonly #kernels: KernelInstance;
  readonly #options: PopulationOptions;
  readonly #size: number;
  readonly #mark: number;
  readonly #levels: number;
  readonly #x: number;
  readonly #stepSizes: number;
  readonly #accepted: number;
  readonly #scratch: number;

  constructor(
    kernels: KernelInstance,
    parts: ExactParts,
    addresses: PathAddresses,
    options: PopulationOptions,
    positions: Float64Array,
  ) {
    const { memory, exports } = kernels;
    const { particles, dimension } = parts.system;
    this.#kernels = kernels;
    this.#options = options;
    this.#size = parts.size;
    this.#mark = memory.mark();
    const padded = Math.ceil(options.count / LANES) * LANES;
    // One level, the target: a mixture at t = 1, with no clipping.
    const target = new Float32Array(16);
    target[8] = 1;
    this.#levels = writeLevels(kernels, parts, addresses, 1, target);
    this.#x = memory.alloc(4 * padded * this.#size);
    this.#stepSizes = memory.alloc(4 * padded);
    this.#accepted = memory.alloc(4 * padded);
    this.#scratch = memory.alloc(exports.pathScratchBytes(particles, dimension));
    this.acceptance = new Float64Array(options.count);
    const centred = centredPositions(positions, options.count, this.#size, dimension);
    toBlocks(centred, options.count, this.#size, memory.f32(this.#x, padded * this.#size));
    memory.f32(this.#stepSizes, padded).fill(0);
  }

  transition(step: number, stepSizes: Float64Array, leapfrogs: number): void {
    const { memory, exports } = this.#kernels;
    const { seed, first, count } = this.#options;
    const [key0, key1] = streamKey(seed, Stream.chain);
    memory.f32(this.#stepSizes, count).set(stepSizes);
    exports.hmcChains(
      this.#levels,
      0,
      Math.ceil(count / LANES),
      first,
      this.#x,
      this.#stepSizes,
      CHAIN_JITTER,
      leapfrogs,
      step,
      key0,
      key1,
      this.#accepted,
      this.#scratch,
    );
    this.acceptance.set(memory.f32(this.#accepted, count));
  }

  positions(): Float32Array {
    const { count } = this.#options;
    const out = new Float32Array(count * this.#size);
    const padded = Math.ceil(count / LANES) * LANES;
    const blocks = this.#kernels.memory.f32(this.#x, padded * this.#size);
    fromBlocks(blocks, count, this.#size, out);
    return out;
  }

  dispose(): void {
    this.#kernels.memory.release(this.#mark);
  }
}
