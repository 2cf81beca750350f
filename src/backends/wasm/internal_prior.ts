/** Packs a molecule's prior for assembly/internal_prior.ts. */
import { cholesky, invertLower } from "../../math/linear.ts";
import {
  type LaplaceModel,
  laplaceParts,
  properTorsions,
  tellingApart,
} from "../../mint/molecule/laplace.ts";
import { rotorOrder } from "../../mint/molecule/image_sum.ts";
import type { InternalPrior } from "../../mint/molecule/model.ts";
import {
  type GridPart,
  otherCoordinates,
  type TorsionGridModel,
} from "../../mint/molecule/torsion_grid.ts";
import type { ZMatrix } from "../../systems/molecule/zmatrix.ts";
import type { KernelInstance } from "./module.ts";

/** Numbers of a component before its means; parts and rotors that there is room for. */
const HEAD = 16;
const MOST_PARTS = 8;
const MOST_ROTORS = 8;

const padded = (count: number): number => Math.ceil(count / 4) * 4;
const LOG_TWO_PI = Math.log(2 * Math.PI);

/** Whether the kernel has room for this prior; else the float64 populations serve. */
export function priorFits(coordinates: ZMatrix, prior: InternalPrior): boolean {
  return coordinates.rotors.length <= MOST_ROTORS && partsOf(prior).length <= MOST_PARTS;
}

function partsOf(prior: InternalPrior): readonly GridPart[] {
  return prior.kind === "torsion_grid" ? prior.parts : laplaceParts(prior);
}

/**
 * Panels of a lower triangular matrix M (n·n) for four rows at a time: for rows 4p .. 4p + 3 their
 * columns 0 .. 4p + 3, four numbers a column; zeros above the diagonal and beyond n.
 */
export function lowerPanels(m: Float64Array, n: number): Float32Array {
  const out: number[] = [];
  for (let p = 0; p < n; p += 4) {
    for (let k = 0; k < p + 4; k++) {
      for (let i = p; i < p + 4; i++) out.push(i < n && k <= i ? m[i * n + k] : 0);
    }
  }
  return Float32Array.from(out);
}

/** Panels of its transpose: for outputs 4p .. 4p + 3 the inputs from 4p on. */
export function upperPanels(m: Float64Array, n: number): Float32Array {
  const out: number[] = [];
  for (let p = 0; p < n; p += 4) {
    for (let i = p; i < padded(n); i++) {
      for (let j = p; j < p + 4; j++) out.push(i < n && j <= i ? m[i * n + j] : 0);
    }
  }
  return Float32Array.from(out);
}

/** A normal density in float64, in the given model's own order of coordinates. */
interface Component {
  readonly logWeight: number;
  readonly mean: (local: number) => number;
  readonly covariance: Float64Array;
  readonly response: (local: number, axis: number) => number;
  readonly centre: readonly number[];
}

/** Address of the packed InternalPrior. `soft`: places of torsions to be looked at first. */
export function packInternalPrior(
  { memory, exports }: KernelInstance,
  coordinates: ZMatrix,
  prior: InternalPrior,
): number {
  const grid = prior.kind === "torsion_grid" ? prior : null;
  const own = grid
    ? otherCoordinates(coordinates, grid.soft)
    : Array.from({ length: coordinates.size }, (_, k) => k);
  const m = own.length;
  const rotors = rotorOrder(coordinates, partsOf(prior)).map((r) => coordinates.rotors[r].rows);
  const chi = rotors.map(([first]) => coordinates.dihedralAt(first));
  const soft = grid ? [] : properTorsions(coordinates);
  const lead = [...soft, ...chi];
  const rest = own.filter((k) => !lead.includes(k));
  const telling = prior.kind === "laplace" ? tellingApart(prior) : null;
  if (telling) rest.sort((p, q) => telling[q] - telling[p]);
  const places = [...lead, ...rest];
  const local = (place: number) => places.indexOf(place);
  // Place of a local coordinate in the model's own order.
  const from = places.map((place) => own.indexOf(place));
  const S = grid ? grid.soft.length : 0;
  const parts = partsOf(prior).map(({ weight, widening, stretched }) => ({
    logWeight: Math.log(weight / (stretched?.factor ?? 1)) - m * Math.log(widening),
    inverse: 1 / widening ** 2,
    along: stretched ? local(coordinates.dihedralAt(stretched.row)) : -1,
    shrink: stretched ? 1 - 1 / stretched.factor ** 2 : 0,
  }));
  const images = rotors.reduce((product, rows) => product * rows.length, 1);
  const response = HEAD + padded(m);
  const panels = response + padded(m * S);
  const stride = panels + lowerPanels(new Float64Array(m * m), m).length;
  const components = grid ? gridComponents(grid, coordinates, own) : laplaceComponents(prior);
  const data = memory.alloc(4 * stride * components.length);
  components.forEach((component, c) => {
    const covariance = new Float64Array(m * m);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < m; j++) {
        covariance[i * m + j] = component.covariance[from[i] * m + from[j]];
      }
    }
    const lower = cholesky(covariance, m);
    let logNorm = component.logWeight - 0.5 * m * LOG_TWO_PI - Math.log(images);
    for (let i = 0; i < m; i++) logNorm -= Math.log(lower[i * m + i]);
    const numbers = memory.f32(data + 4 * stride * c, stride).fill(0);
    numbers[0] = logNorm;
    numbers.set(component.centre, 4);
    parts.forEach(({ along }, p) => {
      numbers[8 + p] = along >= 0 ? covariance[along * m + along] : 1;
    });
    places.forEach((_, i) => {
      numbers[HEAD + i] = component.mean(from[i]);
      for (let axis = 0; axis < S; axis++) {
        numbers[response + i * S + axis] = component.response(from[i], axis);
      }
    });
    numbers.set(lowerPanels(invertLower(lower, m), m), panels);
  });
  const integers = (values: readonly number[]): number => {
    const at = memory.alloc(4 * values.length);
    memory.i32(at, values.length).set(values);
    return at;
  };
  const floats = (values: ArrayLike<number>): number => {
    const at = memory.alloc(4 * values.length);
    memory.f32(at, values.length).set(values);
    return at;
  };
  const firstDihedral = coordinates.dihedralAt(2);
  const placeTable = integers(places.flatMap((k) => [k, k >= firstDihedral ? 1 : 0]));
  const rotorTable = integers(rotors.flatMap((rows) => {
    const three = (at: (row: number) => number) =>
      [0, 1, 2].map((e) => e < rows.length ? local(at(rows[e])) : 0);
    return [
      rows.length,
      ...three((row) => coordinates.bondAt(row)),
      ...three((row) => coordinates.angleAt(row)),
      ...three((row) => coordinates.dihedralAt(row)),
    ];
  }));
  const axisPlaces = integers((grid?.soft ?? []).map((row) => coordinates.dihedralAt(row)));
  const area = grid ? S * Math.log(2 * Math.PI / (grid.cells * grid.subcells)) : 0;
  const table = floats(grid ? grid.table.map((w) => Math.log(w) - area) : []);
  const partTable = floats(
    parts.flatMap(({ logWeight, inverse, along, shrink }) => [logWeight, inverse, along, shrink]),
  );
  const scratchBytes = exports.internalPriorScratch(m);
  const scratch = memory.alloc(scratchBytes);
  memory.f32(scratch, scratchBytes / 4).fill(0);
  // The fields of InternalPrior in assembly/, 4 bytes each.
  return integers([
    ...[m, placeTable, soft.length, rotors.length, rotorTable],
    ...[S, grid?.cells ?? 0, grid?.subcells ?? 0, axisPlaces, table],
    ...[components.length, stride, data, response, panels],
    ...[parts.length, partTable, scratch],
  ]);
}

function gridComponents(
  { soft, minima, response, covariance }: TorsionGridModel,
  coordinates: ZMatrix,
  own: readonly number[],
): Component[] {
  const n = coordinates.size, m = own.length, S = soft.length;
  return Array.from({ length: minima.length / n }, (_, c) => ({
    logWeight: 0,
    mean: (i) => minima[c * n + own[i]],
    covariance: covariance.subarray(c * m * m, (c + 1) * m * m),
    response: (i, axis) => response[(c * m + i) * S + axis],
    centre: soft.map((row) => minima[c * n + coordinates.dihedralAt(row)]),
  }));
}

function laplaceComponents(prior: InternalPrior): Component[] {
  const { logWeights, means, covariances } = prior as LaplaceModel;
  const K = logWeights.length, n = means.length / K;
  return Array.from(logWeights, (logWeight, c) => ({
    logWeight,
    mean: (i) => means[c * n + i],
    covariance: covariances.subarray(c * n * n, (c + 1) * n * n),
    response: () => 0,
    centre: [],
  }));
}
