/**
 * The torsion grid: for one to three soft torsions φ, a table of their free energy on a grid and, for
 * every cell, a normal density of all other coordinates c whose mean answers to φ linearly:
 *
 *   q(φ, c) = w(φ) N(c; c* + R (φ − φ_cell), H_cc⁻¹), R = −H_cc⁻¹ H_cφ,
 *   w ∝ exp(−F), F = V* + ½ log det H_cc, interpolated by periodic cubic splines,
 *
 * w constant on sub-cells. Everything comes from the energy: c* is a constrained minimum, H its
 * Hessian. Jumps between cells are harmless: the density is exact.
 */
import type { RandomStream } from "../../math/random.ts";
import { wrap, type ZMatrix } from "../../systems/molecule/zmatrix.ts";
import {
  addCovariance,
  drawGaussian,
  flooredInverse,
  type Gaussian,
  gaussian,
  type InternalDensity,
  relabelAtRandom,
  widened,
} from "./gaussian.ts";
import { ImageSum, type Weighted } from "./image_sum.ts";
import type { InternalEnergy } from "./internal_energy.ts";
import { canonical, minimise } from "./minima.ts";
import { splineTable } from "./spline_table.ts";

/** A defensive variant of every cell's normal density. */
export interface GridPart {
  readonly weight: number;
  /** Standard deviations times this. */
  readonly widening: number;
  /** Row of a rotor along whose response the density is stretched, and how far. */
  readonly stretched?: { readonly row: number; readonly factor: number };
}

export interface TorsionGridOptions {
  /** Cells along each torsion. */
  readonly cells: number;
  /** Sub-cells of w along each cell. */
  readonly subcells: number;
  /** Descent steps of each constrained minimum. */
  readonly steps: number;
  readonly parts: readonly GridPart[];
}

/** Scaled eigenvalues of H_cc are at least this. */
const FLOOR = 0.1;
/** F above the lowest, kT, is cut here: interpolation would ring beside a collision. */
const CEILING = 40;

/** Width of a soft torsion within a basin, radians. */
const LOCAL = 0.22;

interface Cell {
  /** Constrained minimum, all coordinates. */
  readonly z: Float64Array;
  readonly value: number;
}

export class TorsionGrid implements InternalDensity {
  readonly #coordinates: ZMatrix;
  readonly #soft: readonly number[];
  readonly #rest: readonly number[];
  readonly #options: TorsionGridOptions;
  readonly #sum: ImageSum;
  readonly #cells: { z: Float64Array; response: Float64Array; parts: Weighted[] }[];
  /** Probability of each sub-cell, and their running sum. */
  readonly #table: Float64Array;
  readonly #cumulative: Float64Array;

  /**
   * @param reference z of a geometry that the cells' minima start from
   * @param soft rows of one to three torsions
   */
  constructor(
    energy: InternalEnergy,
    reference: Float64Array,
    soft: readonly number[],
    options: TorsionGridOptions,
  ) {
    const { coordinates } = energy;
    if (soft.length < 1 || soft.length > 3) {
      throw new RangeError(`a torsion grid holds 1 to 3 torsions, got ${soft.length}`);
    }
    this.#coordinates = coordinates;
    this.#options = options;
    this.#soft = soft.map((row) => coordinates.dihedralAt(row));
    this.#rest = Array.from({ length: coordinates.size }, (_, k) => k)
      .filter((k) => !this.#soft.includes(k));
    this.#sum = new ImageSum(coordinates, this.#rest);
    const minima = this.#constrainedMinima(energy, reference);
    const free = new Float64Array(minima.length);
    this.#cells = minima.map((cell, c) => {
      const { made, logVolume } = this.#conditional(energy, cell);
      free[c] = cell.value - logVolume;
      return made;
    });
    const lowest = free.reduce((least, f) => Math.min(least, f), Infinity);
    const capped = free.map((f) => Math.min(f - lowest, CEILING));
    const fine = splineTable(capped, options.cells, soft.length, options.subcells);
    const weights = fine.map((f) => Math.exp(-f));
    const sum = weights.reduce((total, w) => total + w, 0);
    this.#table = weights.map((w) => w / sum);
    let running = 0;
    this.#cumulative = this.#table.map((w) => running += w);
  }

  /** Centre of a cell along one torsion. */
  #centre(index: number): number {
    return -Math.PI + 2 * Math.PI * (index + 0.5) / this.#options.cells;
  }

  /** Minima over the other coordinates at every cell's centre, then from its neighbours' minima. */
  #constrainedMinima(energy: InternalEnergy, reference: Float64Array): Cell[] {
    const { cells, steps } = this.#options;
    const dimensions = this.#soft.length;
    const count = cells ** dimensions;
    const index = (cell: number, axis: number) => Math.floor(cell / cells ** axis) % cells;
    const from = (start: Float64Array, cell: number, steps: number): Cell => {
      const z = start.slice();
      this.#soft.forEach((at, axis) => z[at] = this.#centre(index(cell, axis)));
      const value = minimise(energy, z, steps, this.#soft);
      canonical(energy, z);
      return { z, value };
    };
    const found = Array.from({ length: count }, (_, cell) => from(reference, cell, steps));
    for (let axis = 0; axis < dimensions; axis++) {
      for (const step of [1, cells - 1]) {
        for (let cell = 0; cell < count; cell++) {
          const here = index(cell, axis);
          const neighbour = cell + ((here + step) % cells - here) * cells ** axis;
          const other = from(found[neighbour].z, cell, steps);
          if (other.value < found[cell].value - 1e-3) found[cell] = other;
        }
      }
    }
    return found;
  }

  /** The normal densities of a cell and log √det H_cc⁻¹ (times constants alike in all cells). */
  #conditional(energy: InternalEnergy, { z }: Cell) {
    const n = z.length;
    const rest = this.#rest, soft = this.#soft;
    const m = rest.length;
    const hessian = energy.hessian(z);
    const inner = new Float64Array(m * m);
    rest.forEach((k, i) => rest.forEach((l, j) => inner[i * m + j] = hessian[k * n + l]));
    const scales = Float64Array.from(rest, (k) => energy.scales[k]);
    const covariance = flooredInverse(inner, scales, FLOOR);
    const response = new Float64Array(m * soft.length);
    for (let i = 0; i < m; i++) {
      soft.forEach((s, axis) => {
        let sum = 0;
        for (let j = 0; j < m; j++) sum -= covariance[i * m + j] * hessian[rest[j] * n + s];
        response[i * soft.length + axis] = sum;
      });
    }
    const plain = gaussian(covariance, m);
    const parts = this.#options.parts.map(({ weight, widening, stretched }): Weighted => {
      let normal: Gaussian = plain;
      if (stretched) {
        const changed = covariance.slice();
        const b = rest.indexOf(this.#coordinates.dihedralAt(stretched.row));
        const variance = covariance[b * m + b];
        for (let i = 0; i < m; i++) {
          for (let j = 0; j < m; j++) {
            changed[i * m + j] += (stretched.factor ** 2 - 1) * covariance[i * m + b] *
              covariance[b * m + j] / variance;
          }
        }
        normal = gaussian(changed, m);
      }
      return { normal: widened(normal, widening), logWeight: Math.log(weight) };
    });
    return { made: { z, response, parts }, logVolume: -plain.logNorm };
  }

  /** Sub-cell along each torsion of z. */
  #place(z: Float64Array): { cell: number; sub: number } {
    const { cells, subcells } = this.#options;
    const fine = cells * subcells;
    let cell = 0, sub = 0;
    this.#soft.forEach((at, axis) => {
      const turn = (wrap(z[at]) + Math.PI) / (2 * Math.PI);
      const f = Math.min(fine - 1, Math.max(0, Math.floor(turn * fine)));
      sub += f * fine ** axis;
      cell += Math.floor(f / subcells) * cells ** axis;
    });
    return { cell, sub };
  }

  draw(random: RandomStream): Float64Array | null {
    const { cells, subcells, parts } = this.#options;
    const fine = cells * subcells;
    const level = random.uniform();
    const sub = Math.min(lowerBound(this.#cumulative, level), this.#table.length - 1);
    const z = new Float64Array(this.#coordinates.size);
    let cell = 0;
    this.#soft.forEach((at, axis) => {
      const f = Math.floor(sub / fine ** axis) % fine;
      z[at] = -Math.PI + 2 * Math.PI * (f + random.uniform()) / fine;
      cell += Math.floor(f / subcells) * cells ** axis;
    });
    let part = random.uniform();
    const chosen = Math.max(0, parts.findIndex(({ weight }) => (part -= weight) <= 0));
    const { z: mean, response, parts: normals } = this.#cells[cell];
    const d = new Float64Array(this.#rest.length);
    drawGaussian(normals[chosen].normal, random, d);
    const first = 2 * this.#coordinates.atoms - 3;
    if (this.#rest.some((k, i) => k >= first && Math.abs(d[i]) > Math.PI)) return null;
    const shift = this.#soft.map((at) => z[at] - mean[at]);
    this.#rest.forEach((k, i) => {
      z[k] = mean[k] + d[i];
      shift.forEach((s, axis) => z[k] += response[i * shift.length + axis] * s);
    });
    relabelAtRandom(this.#coordinates, z, random);
    return this.#coordinates.inDomain(z) ? z : null;
  }

  logDensity(z: Float64Array): number {
    const { cells, subcells } = this.#options;
    const { cell, sub } = this.#place(z);
    const area = this.#soft.length * Math.log(2 * Math.PI / (cells * subcells));
    const { z: mean, response, parts } = this.#cells[cell];
    const shift = this.#soft.map((at) => wrap(z[at] - mean[at]));
    const first = 2 * this.#coordinates.atoms - 3;
    // c − c* − R (φ − φ_cell), dihedrals by the shorter way.
    const displace = (z: Float64Array, i: number) => {
      const k = this.#rest[i];
      let value = z[k] - mean[k];
      for (let axis = 0; axis < shift.length; axis++) {
        value -= response[i * shift.length + axis] * shift[axis];
      }
      return k < first ? value : wrap(value);
    };
    return Math.log(this.#table[sub]) - area + this.#sum.logMean(z, displace, parts);
  }

  /** That of the cells, and of their response to soft torsions LOCAL wide. */
  localCovariance(): Float64Array {
    const n = this.#coordinates.size;
    const rest = this.#rest, soft = this.#soft, S = soft.length;
    const sum = new Float64Array(n * n);
    const probability = new Float64Array(this.#cells.length);
    const { cells, subcells } = this.#options;
    const fine = cells * subcells;
    this.#table.forEach((w, sub) => {
      let cell = 0;
      for (let axis = 0; axis < S; axis++) {
        cell += Math.floor(Math.floor(sub / fine ** axis) % fine / subcells) * cells ** axis;
      }
      probability[cell] += w;
    });
    this.#cells.forEach(({ response, parts }, c) => {
      const p = probability[c];
      if (p < 1e-6) return;
      addCovariance(parts[0].normal, p, rest, sum, n);
      const variance = p * LOCAL ** 2;
      for (let axis = 0; axis < S; axis++) {
        rest.forEach((k, i) => {
          const left = variance * response[i * S + axis];
          sum[k * n + soft[axis]] += left;
          sum[soft[axis] * n + k] += left;
          rest.forEach((l, j) => sum[k * n + l] += left * response[j * S + axis]);
        });
        sum[soft[axis] * n + soft[axis]] += variance;
      }
    });
    return sum;
  }
}

/** First place whose running sum reaches the level. */
function lowerBound(cumulative: Float64Array, level: number): number {
  let low = 0, high = cumulative.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (cumulative[middle] < level) low = middle + 1;
    else high = middle;
  }
  return low;
}
