/**
 * Sums of normal densities over all relabellings of rotors. An image differs from z in its rotors'
 * own coordinates alone, so L⁻¹d is a sum of one vector for the rest and one for every rotor and
 * relabelling; only their combinations are formed for each image.
 */
import type { ZMatrix } from "../../systems/molecule/zmatrix.ts";
import type { Gaussian } from "./gaussian.ts";

/** A normal density scaled by `widening`, with a weight. */
export interface Weighted {
  readonly normal: Gaussian;
  readonly logWeight: number;
}

/** Writes the displacement of z at local index i. */
export type Displace = (z: Float64Array, local: number) => number;

export class ImageSum {
  readonly #coordinates: ZMatrix;
  readonly #n: number;
  /** Local indices of each rotor's coordinates. */
  readonly #blocks: readonly (readonly number[])[];
  readonly #rest: readonly number[];
  readonly #count: number;
  /** L⁻¹d of the rest; of every rotor and relabelling; partial sums by depth. */
  readonly #base: Float64Array;
  readonly #vectors: Float64Array[][];
  readonly #partial: Float64Array[];
  readonly #moved: Float64Array;
  readonly #displacements: Float64Array[][];

  /** @param locals place in z of each of the n local coordinates */
  constructor(coordinates: ZMatrix, locals: readonly number[]) {
    this.#coordinates = coordinates;
    const n = this.#n = locals.length;
    const place = new Map(locals.map((at, local) => [at, local]));
    this.#blocks = coordinates.rotors.map(({ rows }) =>
      rows.flatMap((row) => [
        coordinates.bondAt(row),
        coordinates.angleAt(row),
        coordinates.dihedralAt(row),
      ]).map((at) => place.get(at)!)
    );
    const inBlocks = new Set(this.#blocks.flat());
    this.#rest = locals.map((_, local) => local).filter((local) => !inBlocks.has(local));
    this.#count = coordinates.rotors.reduce((product, { rows }) => product * rows.length, 1);
    this.#base = new Float64Array(n);
    this.#vectors = coordinates.rotors.map(({ rows }) => rows.map(() => new Float64Array(n)));
    this.#partial = coordinates.rotors.map(() => new Float64Array(n));
    this.#displacements = coordinates.rotors.map(({ rows }, r) =>
      rows.map(() => new Float64Array(this.#blocks[r].length))
    );
    this.#moved = new Float64Array(coordinates.size);
  }

  /**
   * log of the mean over images of Σ_p weight_p N_p(d). Normals that are widenings of the one before
   * (its `shape`) are nearly free.
   */
  logMean(z: Float64Array, displace: Displace, parts: readonly Weighted[]): number {
    const rotors = this.#coordinates.rotors;
    rotors.forEach(({ rows }, r) => {
      rows.forEach((_, steps) => {
        this.#moved.set(z);
        if (steps > 0) this.#coordinates.relabel(this.#moved, r, steps);
        this.#blocks[r].forEach((local, b) => {
          this.#displacements[r][steps][b] = displace(this.#moved, local);
        });
      });
    });
    const restValues = this.#rest.map((local) => displace(z, local));
    let shape: Float64Array | null = null;
    let squares = new Float64Array(0);
    let highest = -Infinity;
    const terms: number[] = [];
    for (const { normal, logWeight } of parts) {
      if (normal.inverse !== shape) {
        shape = normal.inverse;
        squares = this.#squares(shape, restValues);
      }
      const scale = -0.5 / normal.widening ** 2;
      for (const square of squares) {
        const term = logWeight + normal.logNorm + scale * square;
        terms.push(term);
        if (term > highest) highest = term;
      }
    }
    if (highest === -Infinity) return -Infinity;
    let sum = 0;
    for (const term of terms) sum += Math.exp(term - highest);
    return highest + Math.log(sum / this.#count);
  }

  /** |L⁻¹d|² of every image. */
  #squares(inverse: Float64Array, restValues: readonly number[]): Float64Array<ArrayBuffer> {
    const n = this.#n;
    multiplyColumns(inverse, n, this.#rest, restValues, this.#base);
    this.#blocks.forEach((block, r) =>
      this.#displacements[r].forEach((d, steps) =>
        multiplyColumns(inverse, n, block, d, this.#vectors[r][steps])
      )
    );
    const out = new Float64Array(this.#count);
    let written = 0;
    const descend = (depth: number, sum: Float64Array): void => {
      if (depth === this.#vectors.length) {
        let square = 0;
        for (let i = 0; i < n; i++) square += sum[i] * sum[i];
        out[written++] = square;
        return;
      }
      const next = this.#partial[depth];
      for (const vector of this.#vectors[depth]) {
        for (let i = 0; i < n; i++) next[i] = sum[i] + vector[i];
        descend(depth + 1, next);
      }
    };
    descend(0, this.#base);
    return out;
  }
}

/** out ← the columns of a lower triangular matrix times values. */
function multiplyColumns(
  lower: Float64Array,
  n: number,
  columns: readonly number[],
  values: ArrayLike<number>,
  out: Float64Array,
): void {
  for (let i = 0, at = 0; i < n; i++, at += n) {
    let sum = 0;
    for (let k = 0; k < columns.length; k++) {
      // Above the diagonal stand zeros.
      sum += lower[at + columns[k]] * values[k];
    }
    out[i] = sum;
  }
}
