/** Makes a torsion grid (torsion_grid.ts) from the energy: constrained minima, Hessians, free energies. */
import { finished } from "../../math/finished.ts";
import type { InternalEnergy } from "./internal_energy.ts";
import { flooredInverse, gaussian } from "./gaussian.ts";
import { canonical, minimise } from "./minima.ts";
import { splineTable } from "./spline_table.ts";
import { type GridPart, otherCoordinates, type TorsionGridModel } from "./torsion_grid.ts";

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

interface Cell {
  /** Constrained minimum, all coordinates. */
  readonly z: Float64Array;
  readonly value: number;
}

/**
 * @param reference z of a geometry that the cells' minima start from
 * @param soft rows of one to three torsions
 */
export function buildTorsionGrid(
  energy: InternalEnergy,
  reference: Float64Array,
  soft: readonly number[],
  options: TorsionGridOptions,
): TorsionGridModel {
  return finished(torsionGridBuild(energy, reference, soft, options));
}

/** Steps of a build: the first sweep over the cells, two for each torsion, Hessians. */
export const torsionGridSteps = (cells: number, torsions: number): number =>
  cells ** torsions * (2 + 2 * torsions);

/** {@link buildTorsionGrid} in steps, which it yields the number of. */
export function* torsionGridBuild(
  energy: InternalEnergy,
  reference: Float64Array,
  soft: readonly number[],
  options: TorsionGridOptions,
): Generator<number, TorsionGridModel> {
  const { coordinates } = energy;
  const { cells, subcells, parts } = options;
  const S = soft.length;
  if (S < 1 || S > 3) throw new RangeError(`a torsion grid holds 1 to 3 torsions, got ${S}`);
  const places = soft.map((row) => coordinates.dihedralAt(row));
  const rest = otherCoordinates(coordinates, soft);
  const n = coordinates.size, m = rest.length, count = cells ** S;
  const found = yield* constrainedMinima(energy, reference, places, options);
  let done = torsionGridSteps(cells, S) - count;
  const minima = new Float64Array(count * n);
  const response = new Float64Array(count * m * S);
  const covariance = new Float64Array(count * m * m);
  const free = new Float64Array(count);
  const scales = Float64Array.from(rest, (k) => energy.scales[k]);
  for (const [c, { z, value }] of found.entries()) {
    const hessian = energy.hessian(z);
    const inner = new Float64Array(m * m);
    rest.forEach((k, i) => rest.forEach((l, j) => inner[i * m + j] = hessian[k * n + l]));
    const inverse = flooredInverse(inner, scales, FLOOR);
    for (let i = 0; i < m; i++) {
      places.forEach((s, axis) => {
        let sum = 0;
        for (let j = 0; j < m; j++) sum -= inverse[i * m + j] * hessian[rest[j] * n + s];
        response[(c * m + i) * S + axis] = sum;
      });
    }
    minima.set(z, c * n);
    covariance.set(inverse, c * m * m);
    // V* + ½ log det H_cc, up to what is alike in all cells.
    free[c] = value + gaussian(inverse, m).logNorm;
    yield ++done;
  }
  const lowest = free.reduce((least, f) => Math.min(least, f), Infinity);
  const capped = free.map((f) => Math.min(f - lowest, CEILING));
  const weights = splineTable(capped, cells, S, subcells).map((f) => Math.exp(-f));
  const sum = weights.reduce((total, w) => total + w, 0);
  return {
    kind: "torsion_grid",
    soft,
    cells,
    subcells,
    parts,
    table: weights.map((w) => w / sum),
    minima,
    response,
    covariance,
  };
}

/** Minima over the other coordinates at every cell's centre, then from its neighbours' minima. */
function* constrainedMinima(
  energy: InternalEnergy,
  reference: Float64Array,
  places: readonly number[],
  { cells, steps }: TorsionGridOptions,
): Generator<number, Cell[]> {
  const dimensions = places.length;
  const count = cells ** dimensions;
  const index = (cell: number, axis: number) => Math.floor(cell / cells ** axis) % cells;
  const from = (start: Float64Array, cell: number): Cell => {
    const z = start.slice();
    places.forEach((at, axis) =>
      z[at] = -Math.PI + 2 * Math.PI * (index(cell, axis) + 0.5) / cells
    );
    const value = minimise(energy, z, steps, places);
    canonical(energy, z);
    return { z, value };
  };
  let done = 0;
  const found: Cell[] = [];
  for (let cell = 0; cell < count; cell++) {
    found.push(from(reference, cell));
    yield ++done;
  }
  for (let axis = 0; axis < dimensions; axis++) {
    for (const step of [1, cells - 1]) {
      for (let cell = 0; cell < count; cell++) {
        const here = index(cell, axis);
        const neighbour = cell + ((here + step) % cells - here) * cells ** axis;
        const other = from(found[neighbour].z, cell);
        if (other.value < found[cell].value - 1e-3) found[cell] = other;
        yield ++done;
      }
    }
  }
  return found;
}
