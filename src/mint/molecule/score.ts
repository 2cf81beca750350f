/**
 * The prior of a molecule as a smooth field, what unadjusted steps need in their drift: log q(z) but
 * without the jumps of a torsion grid. The table of soft torsions, constant on sub-cells, is taken for
 * parabolas through their middles, and the normal densities of neighbouring cells go over into each
 * other (at a step that crosses a jump, work would be done that no force knows of). Any function of z
 * leaves the weights exact.
 *
 * log q is a log-sum over images under rotors' relabellings and parts of the normal densities. An image
 * is linear in z, so the gradient of a term, −L⁻ᵀL⁻¹d, goes back by the transposed relabelling.
 */
import { invertLower } from "../../math/linear.ts";
import { wrap, type ZMatrix } from "../../systems/molecule/zmatrix.ts";
import { gaussian, type InternalDensity, widened } from "./gaussian.ts";
import { type LaplaceModel, laplaceParts } from "./laplace.ts";
import type { InternalPrior } from "./model.ts";
import {
  type GridCell,
  otherCoordinates,
  TorsionGrid,
  type TorsionGridModel,
} from "./torsion_grid.ts";

/** Terms of a smaller share of the density (in log) are left out of gradients. */
const NEGLIGIBLE = 9;
/** Images whose rotor is further (radians) from a minimum are left out: 120° are seven widths. */
const REACH = 2.2;
/** Cells of a smaller share are left out. */
const LEAST_SHARE = 1e-3;

/** A rotor relabelled so many steps on, and the displacements of its coordinates then. */
interface Turn {
  readonly steps: number;
  readonly d: readonly number[];
}

export class PriorScore {
  readonly #coordinates: ZMatrix;
  /** Places in z of the normal densities' coordinates, and of the soft torsions. */
  readonly #rest: readonly number[];
  readonly #soft: readonly number[];
  readonly #grid: TorsionGridModel | null;
  /** Cell c of the grid, or component c. */
  readonly #component: (c: number) => GridCell;
  readonly #components: number;
  /** Local indices of each rotor's coordinates, and of all others. */
  readonly #blocks: readonly (readonly number[])[];
  readonly #others: readonly number[];
  readonly #placeOf: Map<number, number>;
  readonly #images: number;
  readonly #inverses = new WeakMap<Float64Array, Float64Array>();
  // Work space.
  readonly #moved: Float64Array;
  readonly #d: Float64Array;
  readonly #y: Float64Array;
  readonly #base: Float64Array;
  readonly #vectors: Float64Array[][];
  readonly #byD: Float64Array;
  readonly #sum: Float64Array;
  readonly #logs: Float64Array;
  #top = -Infinity;
  #total = 0;

  /** @param density that of `prior`, whose matrices are shared */
  constructor(coordinates: ZMatrix, prior: InternalPrior, density: InternalDensity) {
    this.#coordinates = coordinates;
    const n = coordinates.size;
    if (prior.kind === "torsion_grid" && density instanceof TorsionGrid) {
      this.#grid = prior;
      this.#soft = prior.soft.map((row) => coordinates.dihedralAt(row));
      this.#rest = otherCoordinates(coordinates, prior.soft);
      this.#components = prior.cells ** prior.soft.length;
      this.#component = (c) => density.cell(c);
    } else {
      if (prior.kind !== "laplace") throw new Error("the density is not that of the prior");
      this.#grid = null;
      this.#soft = [];
      this.#rest = Array.from({ length: n }, (_, k) => k);
      const all = minima(prior, coordinates);
      this.#components = all.length;
      this.#component = (c) => all[c];
    }
    const m = this.#rest.length;
    this.#placeOf = new Map(this.#rest.map((at, local) => [at, local]));
    this.#blocks = coordinates.rotors.map(({ rows }) =>
      rows.flatMap((row) => [
        coordinates.bondAt(row),
        coordinates.angleAt(row),
        coordinates.dihedralAt(row),
      ]).map((at) => this.#placeOf.get(at)!)
    );
    const inBlocks = new Set(this.#blocks.flat());
    this.#others = this.#rest.map((_, local) => local).filter((local) => !inBlocks.has(local));
    this.#images = coordinates.rotors.reduce((product, { rows }) => product * rows.length, 1);
    this.#moved = new Float64Array(n);
    this.#d = new Float64Array(m);
    this.#y = new Float64Array(this.#images * m);
    this.#base = new Float64Array(m);
    this.#vectors = coordinates.rotors.map(({ rows }) => rows.map(() => new Float64Array(m)));
    this.#byD = new Float64Array(m);
    this.#sum = new Float64Array(n);
    this.#logs = new Float64Array(this.#images);
  }

  /** log q(z), nearly as the density itself gives it; ∂log q/∂z overwrites `gradient`. */
  evaluate(z: Float64Array, gradient: Float64Array): number {
    gradient.fill(0);
    this.#sum.fill(0);
    this.#top = -Infinity;
    this.#total = 0;
    let table = 0;
    if (this.#grid) {
      table = this.#place(z, this.#grid, gradient);
      this.#blend(z, this.#grid);
    } else for (let k = 0; k < this.#components; k++) this.#add(z, k, 0, []);
    const scale = 1 / this.#total;
    for (let k = 0; k < gradient.length; k++) gradient[k] += scale * this.#sum[k];
    return table + this.#top + Math.log(this.#total / this.#images);
  }

  /** The table's part: its value at z's sub-cell, its slope to `gradient`. */
  #place(
    z: Float64Array,
    { cells, subcells, table }: TorsionGridModel,
    gradient: Float64Array,
  ): number {
    const fine = cells * subcells;
    const width = 2 * Math.PI / fine;
    const at = this.#soft.map((k) => {
      const position = (wrap(z[k]) + Math.PI) / width;
      const f = Math.min(fine - 1, Math.max(0, Math.floor(position)));
      return { f, u: position - f };
    });
    const sub = at.reduce((sum, { f }, axis) => sum + f * fine ** axis, 0);
    const here = Math.log(table[sub]);
    at.forEach(({ f, u }, axis) => {
      const stride = fine ** axis;
      const to = (other: number) =>
        Math.log(table[sub + (((f + other + fine) % fine) - f) * stride]);
      gradient[this.#soft[axis]] = ((1 - u) * (here - to(-1)) + u * (to(1) - here)) / width;
    });
    return here - this.#soft.length * Math.log(width);
  }

  /** The cells whose centres are around z, each by its share: linear between centres, smoothed. */
  #blend(z: Float64Array, { cells }: TorsionGridModel): void {
    const width = 2 * Math.PI / cells;
    const axes = this.#soft.map((k) => {
      const position = (wrap(z[k]) + Math.PI) / width - 0.5;
      const low = Math.floor(position);
      const u = position - low;
      const share = u * u * (3 - 2 * u);
      const slope = 6 * u * (1 - u) / width;
      return [
        { cell: (low + cells) % cells, share: 1 - share, slope: -slope },
        { cell: (low + 1) % cells, share, slope },
      ];
    });
    for (let corner = 0; corner < 1 << axes.length; corner++) {
      const sides = axes.map((axis, a) => axis[(corner >> a) & 1]);
      const share = sides.reduce((product, side) => product * side.share, 1);
      if (share < LEAST_SHARE) continue;
      const cell = sides.reduce((sum, side, a) => sum + side.cell * cells ** a, 0);
      this.#add(z, cell, Math.log(share), sides.map((side) => side.slope / side.share));
    }
  }

  /**
   * One component, all images and parts, times e^logShare (its slopes along the soft torsions given):
   * to the running sums, which are relative to e^top.
   */
  #add(z: Float64Array, k: number, logShare: number, slopes: readonly number[]): void {
    const { z: mean, response, parts } = this.#component(k);
    const coordinates = this.#coordinates;
    const S = this.#soft.length;
    const first = 2 * coordinates.atoms - 3;
    const shift = this.#soft.map((at) => wrap(z[at] - mean[at]));
    const displace = (from: Float64Array, local: number): number => {
      const at = this.#rest[local];
      let value = from[at] - mean[at];
      for (let axis = 0; axis < S; axis++) value -= response[local * S + axis] * shift[axis];
      return at < first ? value : wrap(value);
    };
    for (const local of this.#others) this.#d[local] = displace(z, local);
    const near = coordinates.rotors.map(({ rows }, r) => {
      const turns = rows.map((_, steps) => {
        this.#moved.set(z);
        if (steps > 0) coordinates.relabel(this.#moved, r, steps);
        return { steps, d: this.#blocks[r].map((local) => displace(this.#moved, local)) };
      });
      const distance = turns.map(({ d }) => Math.abs(d[2])); // of χ
      const most = Math.max(REACH, Math.min(...distance));
      return turns.filter((_, steps) => distance[steps] <= most);
    });
    const images = near.reduce((product, turns) => product * turns.length, 1);
    // All parts of one shape at once, wherever they stand in the list: they differ by their widening.
    for (const [lower, alike] of Map.groupBy(parts, ({ normal }) => normal.lower)) {
      const inverse = this.#inverseOf(lower);
      this.#whiten(inverse, near, images);
      for (let image = 0; image < images; image++) {
        const square = this.#logs[image];
        let pull = 0;
        let own = 0;
        let highest = -Infinity;
        const terms = alike.map(({ normal, logWeight }) => {
          const term = logShare + logWeight + normal.logNorm - 0.5 * square / normal.widening ** 2;
          if (term > highest) highest = term;
          return term;
        });
        // logWeight of Laplace components is among the terms; an image far below adds nothing.
        if (highest < this.#top - 2 * NEGLIGIBLE) continue;
        if (highest > this.#top) {
          const fall = Math.exp(this.#top - highest);
          this.#total *= fall;
          for (let c = 0; c < this.#sum.length; c++) this.#sum[c] *= fall;
          this.#top = highest;
        }
        alike.forEach(({ normal }, a) => {
          const share = Math.exp(terms[a] - this.#top);
          own += share;
          pull += share / normal.widening ** 2;
        });
        this.#total += own;
        for (let a = 0; a < slopes.length; a++) this.#sum[this.#soft[a]] += own * slopes[a];
        if (highest > this.#top - NEGLIGIBLE) this.#pullBack(inverse, near, image, pull, response);
      }
    }
  }

  /** L⁻¹, made when a cell is first visited: most never are. */
  #inverseOf(lower: Float64Array): Float64Array {
    let inverse = this.#inverses.get(lower);
    if (!inverse) this.#inverses.set(lower, inverse = invertLower(lower, this.#rest.length));
    return inverse;
  }

  /** L⁻¹d of every image to #y, its square to #logs. */
  #whiten(inverse: Float64Array, near: readonly (readonly Turn[])[], images: number): void {
    const m = this.#rest.length;
    const values = this.#others.map((local) => this.#d[local]);
    multiplyColumns(inverse, m, this.#others, values, this.#base);
    this.#blocks.forEach((block, r) =>
      near[r].forEach(({ d }, k) => multiplyColumns(inverse, m, block, d, this.#vectors[r][k]))
    );
    for (let image = 0; image < images; image++) {
      const y = this.#y.subarray(image * m, (image + 1) * m);
      y.set(this.#base);
      let rest = image;
      for (let r = 0; r < near.length; r++) {
        const vector = this.#vectors[r][rest % near[r].length];
        rest = Math.floor(rest / near[r].length);
        for (let i = 0; i < m; i++) y[i] += vector[i];
      }
      let square = 0;
      for (let i = 0; i < m; i++) square += y[i] * y[i];
      this.#logs[image] = square;
    }
  }

  /** #sum += pull · ∂(−½|L⁻¹d|²)/∂z of an image. */
  #pullBack(
    inverse: Float64Array,
    near: readonly (readonly Turn[])[],
    image: number,
    pull: number,
    response: Float64Array,
  ): void {
    const m = this.#rest.length;
    const S = this.#soft.length;
    const y = this.#y.subarray(image * m, (image + 1) * m);
    const byD = this.#byD.fill(0);
    for (let i = 0, at = 0; i < m; i++, at += m) {
      const value = -pull * y[i];
      for (let j = 0; j <= i; j++) byD[j] += inverse[at + j] * value;
    }
    for (let i = 0; i < m; i++) {
      for (let axis = 0; axis < S; axis++) {
        this.#sum[this.#soft[axis]] -= response[i * S + axis] * byD[i];
      }
    }
    for (const local of this.#others) this.#sum[this.#rest[local]] += byD[local];
    let rest = image;
    near.forEach((turns, r) => {
      this.#relabelBack(r, turns[rest % turns.length].steps, byD);
      rest = Math.floor(rest / turns.length);
    });
  }

  /** The transpose of ZMatrix.relabel on one rotor's coordinates. */
  #relabelBack(rotor: number, steps: number, byD: Float64Array): void {
    const c = this.#coordinates;
    const { rows } = c.rotors[rotor];
    const local = (at: number) => byD[this.#placeOf.get(at)!];
    rows.forEach((row, e) => {
      const from = rows[(e + steps) % rows.length];
      this.#sum[c.bondAt(from)] += local(c.bondAt(row));
      this.#sum[c.angleAt(from)] += local(c.angleAt(row));
      const turn = local(c.dihedralAt(row));
      if (e === 0) {
        this.#sum[c.dihedralAt(row)] += turn;
        return;
      }
      // New turn e = turn of `from` − turn of the new first end; that of the old first is 0.
      if (from !== rows[0]) this.#sum[c.dihedralAt(from)] += turn;
      if (steps > 0) this.#sum[c.dihedralAt(rows[steps])] -= turn;
    });
  }
}

function minima(model: LaplaceModel, coordinates: ZMatrix): GridCell[] {
  const n = coordinates.size;
  return Array.from(model.logWeights, (logWeight, k) => {
    const covariance = model.covariances.subarray(k * n * n, (k + 1) * n * n);
    const plain = gaussian(covariance, n);
    return {
      z: model.means.subarray(k * n, (k + 1) * n),
      response: new Float64Array(0),
      parts: laplaceParts(model).map(({ weight, widening, stretched }) => ({
        normal: stretched
          ? gaussian(
            stretch(covariance, n, coordinates.dihedralAt(stretched.row), stretched.factor),
            n,
            widening,
          )
          : widened(plain, widening),
        logWeight: logWeight + Math.log(weight),
      })),
    };
  });
}

/** Σ + (f² − 1) Σ_b Σ_bᵀ/Σ_bb: coordinate b spread f times as far, all others following as before. */
function stretch(covariance: Float64Array, n: number, b: number, factor: number): Float64Array {
  const more = (factor ** 2 - 1) / covariance[b * n + b];
  return covariance.map((value, at) =>
    value + more * covariance[Math.floor(at / n) * n + b] * covariance[b * n + at % n]
  );
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
    for (let k = 0; k < columns.length; k++) sum += lower[at + columns[k]] * values[k];
    out[i] = sum;
  }
}
