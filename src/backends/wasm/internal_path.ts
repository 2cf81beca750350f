/** Host of assembly/internal_path.ts: populations of molecules in internal coordinates, float32. */
import { cholesky } from "../../math/linear.ts";
import { streamKey } from "../../math/random.ts";
import {
  type InternalPopulation,
  type InternalPopulationOptions,
  STEP_JITTER,
} from "../../path/internal_population.ts";
import type { InternalSampler } from "../../path/internal_sampler.ts";
import type { ZMatrix } from "../../systems/molecule/zmatrix.ts";
import { LANES } from "../backend.ts";
import { lowerPanels, packInternalPrior, upperPanels } from "./internal_prior.ts";
import type { KernelInstance } from "./module.ts";

/** Fields of InternalJob in assembly/, 4 bytes each; the first of those that a population sets. */
const FIELDS = 20;
const KEYS = 12;
const STATES = 14;
/** Bytes of an atom in a block. */
const ATOM = 48;

/** One molecule's model in the memory of a kernel instance. */
export class InternalKernel {
  readonly kernels: KernelInstance;
  readonly #coordinates: ZMatrix;
  readonly #leapfrogs: number;
  readonly #job: number;

  /** @param molecule address of the packed molecule (packed.ts) with its scratch */
  constructor(kernels: KernelInstance, sampler: InternalSampler, molecule: number) {
    const { memory, exports } = kernels;
    const { energy: { coordinates }, prior, model } = sampler;
    const n = coordinates.size;
    this.kernels = kernels;
    this.#coordinates = coordinates;
    this.#leapfrogs = model.leapfrogs;
    const write = (values: Float32Array): number => {
      const at = memory.alloc(4 * values.length);
      memory.f32(at, values.length).set(values);
      return at;
    };
    const lower = cholesky(prior.localCovariance(), n);
    const rows = rowTable(coordinates);
    const rowsAt = memory.alloc(4 * rows.length);
    memory.i32(rowsAt, rows.length).set(rows);
    const [lowerAt, upperAt] = [write(lowerPanels(lower, n)), write(upperPanels(lower, n))];
    const priorAt = packInternalPrior(kernels, coordinates, model.prior);
    const N = coordinates.atoms;
    const scratchBytes = 4 * 16 * this.padded + 2 * ATOM * N + exports.internalChainScratch(N);
    const scratch = memory.alloc(scratchBytes);
    memory.f32(scratch, scratchBytes / 4).fill(0);
    this.#job = memory.alloc(4 * FIELDS);
    const fields = memory.i32(this.#job, FIELDS);
    const states = new Array(FIELDS - KEYS).fill(0);
    fields.set([N, n, this.padded, molecule, rowsAt, ATOM * coordinates.root, lowerAt, upperAt]);
    fields.set([priorAt, model.leapfrogs, 0, 0, ...states], 8);
    fields[FIELDS - 1] = scratch;
    memory.f32(this.#job + 40, 2).set([model.stepSize, STEP_JITTER]);
  }

  /** f32x4 of one state. */
  get padded(): number {
    return Math.ceil(this.#coordinates.size / 4) * 4;
  }

  /** A population at places (count, n), float32 values. Disposing of it frees all made after it. */
  start(places: Float64Array, options: InternalPopulationOptions): InternalPopulation {
    const { job, size, padded } = this.#shape;
    return new WasmInternalPopulation(
      this.kernels,
      { job, size, padded },
      this.#leapfrogs,
      places,
      options,
    );
  }

  /** V and ∂V/∂z at places (count, n), for the tests. */
  energies(places: Float64Array): { values: Float64Array; gradients: Float64Array } {
    const { memory, exports } = this.kernels;
    const { job, size, padded } = this.#shape;
    const count = places.length / size;
    const blocks = Math.ceil(count / LANES);
    const mark = memory.mark();
    const z = memory.alloc(16 * padded * blocks);
    const gradient = memory.alloc(16 * padded * blocks);
    const values = memory.alloc(16 * blocks);
    writeStates(memory.f32(z, 4 * padded * blocks), places, size, padded);
    exports.internalEnergies(job, z, gradient, values, blocks);
    const result = {
      values: Float64Array.from(memory.f32(values, count)),
      gradients: readStates(memory.f32(gradient, 4 * padded * blocks), count, size, padded),
    };
    memory.release(mark);
    return result;
  }

  get #shape(): Shape {
    return { job: this.#job, size: this.#coordinates.size, padded: this.padded };
  }
}

interface Shape {
  readonly job: number;
  readonly size: number;
  readonly padded: number;
}

class WasmInternalPopulation implements InternalPopulation {
  readonly count: number;
  gradients: number;
  readonly #kernels: KernelInstance;
  readonly #shape: Shape;
  readonly #leapfrogs: number;
  readonly #first: number;
  readonly #fields: readonly number[];
  readonly #mark: number;

  constructor(
    kernels: KernelInstance,
    shape: Shape,
    leapfrogs: number,
    places: Float64Array,
    { seed, stream, first }: InternalPopulationOptions,
  ) {
    const { memory, exports } = kernels;
    const { size, padded } = shape;
    this.#kernels = kernels;
    this.#shape = shape;
    this.#leapfrogs = leapfrogs;
    this.#first = first;
    this.count = this.gradients = places.length / size;
    this.#mark = memory.mark();
    const blocks = this.#blocks;
    const state = 16 * padded * blocks;
    const [z, gradient] = [memory.alloc(state), memory.alloc(state)];
    const rest = [0, 1, 2].map(() => memory.alloc(16 * blocks));
    this.#fields = [...streamKey(seed, stream), z, gradient, ...rest];
    writeStates(memory.f32(z, 4 * padded * blocks), places, size, padded);
    memory.f32(rest[2], 4 * blocks).fill(0);
    this.#enter();
    exports.internalStart(shape.job, blocks);
  }

  get #blocks(): number {
    return Math.ceil(this.count / LANES);
  }

  /** Several populations share one job. */
  #enter(): void {
    this.#kernels.memory.i32(this.#shape.job + 4 * KEYS, this.#fields.length).set(this.#fields);
  }

  #numbers(field: number): Float64Array {
    const address = this.#fields[field - KEYS];
    return Float64Array.from(this.#kernels.memory.f32(address, this.count));
  }

  get values(): Float64Array {
    return this.#numbers(STATES + 2);
  }
  get logDensities(): Float64Array {
    return this.#numbers(STATES + 3);
  }
  get accepted(): Float64Array {
    return this.#numbers(STATES + 4);
  }

  transition(step: number, t: number): void {
    this.#enter();
    const { exports } = this.#kernels;
    exports.internalTransitions(this.#shape.job, this.#blocks, this.#first, step, t);
    this.gradients += this.count * this.#leapfrogs;
  }

  copy(ancestors: Int32Array): void {
    const { memory } = this.#kernels;
    const { padded } = this.#shape;
    const [, , z, gradient, values, logDensities] = this.#fields;
    for (
      const [address, width] of [[z, padded], [gradient, padded], [values, 1], [logDensities, 1]]
    ) {
      const all = memory.f32(address, 4 * width * this.#blocks);
      ancestors.forEach((from, s) => {
        if (from === s) return;
        const [a, b] = [from, s].map((k) => Math.floor(k / LANES) * width * LANES + k % LANES);
        for (let k = 0; k < width; k++) all[b + LANES * k] = all[a + LANES * k];
      });
    }
  }

  places(): Float64Array {
    const { size, padded } = this.#shape;
    const all = this.#kernels.memory.f32(this.#fields[2], 4 * padded * this.#blocks);
    return readStates(all, this.count, size, padded);
  }

  dispose(): void {
    this.#kernels.memory.release(this.#mark);
  }
}

/** States (count, n) into blocks of `padded` f32x4; the last block is filled up with its last state. */
function writeStates(out: Float32Array, places: Float64Array, n: number, padded: number): void {
  out.fill(0);
  const count = places.length / n;
  const most = out.length / padded;
  for (let s = 0; s < most; s++) {
    const from = Math.min(s, count - 1) * n;
    const at = Math.floor(s / LANES) * padded * LANES + s % LANES;
    for (let k = 0; k < n; k++) out[at + LANES * k] = places[from + k];
  }
}

function readStates(all: Float32Array, count: number, n: number, padded: number): Float64Array {
  const out = new Float64Array(count * n);
  for (let s = 0; s < count; s++) {
    const at = Math.floor(s / LANES) * padded * LANES + s % LANES;
    for (let k = 0; k < n; k++) out[s * n + k] = all[at + LANES * k];
  }
  return out;
}

/** The i32[8] of every row, see assembly/internal_coordinates.ts. */
function rowTable({ rows, rotors }: ZMatrix): number[] {
  const rowOf = new Map(rows.map(({ atom }, k) => [atom, k]));
  return rows.flatMap(({ atom, bond, angle, dihedral, kind }, k) => {
    const turned = kind === "proper"
      ? rows.filter((row, l) => l >= k && row.bond === bond).length
      : 1;
    const rotor = rotors.find(({ rows: [first] }) => first === k);
    return [
      ...[atom, bond, angle, dihedral].map((i) => ATOM * Math.max(i, 0)),
      ...[rowOf.get(bond) ?? -1, turned, rotor?.rows.length ?? 0, 0],
    ];
  });
}
