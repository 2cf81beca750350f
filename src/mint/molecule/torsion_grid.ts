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
  type Gaussian,
  gaussian,
  type InternalDensity,
  relabelAtRandom,
  widened,
} from "./gaussian.ts";
import { type DensityPart, type ImageComponent, ImageSum } from "./image_sum.ts";

/** A defensive variant of every cell's normal density. */
export type GridPart = DensityPart;

/** A grid as plain data; made by buildTorsionGrid (build_torsion_grid.ts). */
export interface TorsionGridModel {
  readonly kind: "torsion_grid";
  /** Rows of the soft torsions. */
  readonly soft: readonly number[];
  /** Cells along each torsion; the first torsion's index runs fastest. */
  readonly cells: number;
  /** Sub-cells of w along each cell. */
  readonly subcells: number;
  readonly parts: readonly GridPart[];
  /** Probability of each sub-cell. */
  readonly table: Float64Array;
  /** c*, with the torsions at the centre: (cells, n). */
  readonly minima: Float64Array;
  /** R: (cells, m, torsions), m = n − torsions. */
  readonly response: Float64Array;
  /** H_cc⁻¹: (cells, m, m). */
  readonly covariance: Float64Array;
}

/** One cell of a grid, made ready. */
export interface GridCell {
  /** c*, with the torsions at the centre: (n). */
  readonly z: Float64Array;
  /** R: (m, torsions). */
  readonly response: Float64Array;
  /** Its normal densities and the logarithms of their weights. */
  readonly parts: readonly { readonly normal: Gaussian; readonly logWeight: number }[];
}

/** Places in z of all but the soft torsions. */
export function otherCoordinates(coordinates: ZMatrix, soft: readonly number[]): number[] {
  const places = new Set(soft.map((row) => coordinates.dihedralAt(row)));
  return Array.from({ length: coordinates.size }, (_, k) => k).filter((k) => !places.has(k));
}

/** Width of a soft torsion within a basin, radians. */
const LOCAL = 0.22;

export class TorsionGrid implements InternalDensity {
  readonly #coordinates: ZMatrix;
  readonly #soft: readonly number[];
  readonly #rest: readonly number[];
  readonly #model: TorsionGridModel;
  readonly #sum: ImageSum;
  readonly #cells: {
    z: Float64Array;
    response: Float64Array;
    parts: Gaussian[];
    component: ImageComponent;
  }[];
  /** Running sum of the table. */
  readonly #cumulative: Float64Array;

  constructor(coordinates: ZMatrix, model: TorsionGridModel) {
    this.#coordinates = coordinates;
    this.#model = model;
    this.#soft = model.soft.map((row) => coordinates.dihedralAt(row));
    this.#rest = otherCoordinates(coordinates, model.soft);
    this.#sum = new ImageSum(coordinates, this.#rest, [], model.parts);
    const n = coordinates.size, m = this.#rest.length, S = model.soft.length;
    this.#cells = Array.from({ length: model.cells ** S }, (_, c) => ({
      z: model.minima.subarray(c * n, (c + 1) * n),
      response: model.response.subarray(c * m * S, (c + 1) * m * S),
      parts: this.#parts(model.covariance.subarray(c * m * m, (c + 1) * m * m)),
      component: this.#sum.component(model.covariance.subarray(c * m * m, (c + 1) * m * m)),
    }));
    let running = 0;
    this.#cumulative = model.table.map((w) => running += w);
  }

  /** The variants of one cell's normal density. */
  #parts(covariance: Float64Array): Gaussian[] {
    const m = this.#rest.length;
    const plain = gaussian(covariance, m);
    return this.#model.parts.map(({ widening, stretched }) => {
      let normal: Gaussian = plain;
      if (stretched) {
        const changed = covariance.slice();
        const b = this.#rest.indexOf(this.#coordinates.dihedralAt(stretched.row));
        const variance = covariance[b * m + b];
        for (let i = 0; i < m; i++) {
          for (let j = 0; j < m; j++) {
            changed[i * m + j] += (stretched.factor ** 2 - 1) * covariance[i * m + b] *
              covariance[b * m + j] / variance;
          }
        }
        normal = gaussian(changed, m);
      }
      return widened(normal, widening);
    });
  }

  /** Cell c: its minimum, the response of it, and the variants of its normal density. */
  cell(c: number): GridCell {
    const { z, response, parts } = this.#cells[c];
    const weighed = parts.map((normal, p) => ({
      normal,
      logWeight: Math.log(this.#model.parts[p].weight),
    }));
    return { z, response, parts: weighed };
  }

  /** Sub-cell along each torsion of z. */
  #place(z: Float64Array): { cell: number; sub: number } {
    const { cells, subcells } = this.#model;
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
    const { cells, subcells, parts } = this.#model;
    const fine = cells * subcells;
    const level = random.uniform();
    const sub = Math.min(lowerBound(this.#cumulative, level), this.#model.table.length - 1);
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
    drawGaussian(normals[chosen], random, d);
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
    const { cells, subcells } = this.#model;
    const { cell, sub } = this.#place(z);
    const area = this.#soft.length * Math.log(2 * Math.PI / (cells * subcells));
    const { z: mean, response, component } = this.#cells[cell];
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
    const logWeight = Math.log(this.#model.table[sub]) - area;
    return this.#sum.logDensity(z, [{ component, logWeight, displace }]);
  }

  /** That of the cells, and of their response to soft torsions LOCAL wide. */
  localCovariance(): Float64Array {
    const n = this.#coordinates.size;
    const rest = this.#rest, soft = this.#soft, S = soft.length;
    const sum = new Float64Array(n * n);
    const probability = new Float64Array(this.#cells.length);
    const { cells, subcells } = this.#model;
    const fine = cells * subcells;
    this.#model.table.forEach((w, sub) => {
      let cell = 0;
      for (let axis = 0; axis < S; axis++) {
        cell += Math.floor(Math.floor(sub / fine ** axis) % fine / subcells) * cells ** axis;
      }
      probability[cell] += w;
    });
    this.#cells.forEach(({ response, parts }, c) => {
      const p = probability[c];
      if (p < 1e-6) return;
      addCovariance(parts[0], p, rest, sum, n);
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
