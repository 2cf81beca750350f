/** Refines a periodic table by cubic splines. */
import { cholesky, invertLower } from "../../math/linear.ts";

/**
 * Values at the centres of (cells·sub)^dimensions sub-cells, from those at the centres of
 * cells^dimensions cells (first axis fastest), by periodic cubic splines along one axis after the
 * other.
 */
export function splineTable(
  values: Float64Array,
  cells: number,
  dimensions: number,
  sub: number,
): Float64Array {
  const weights = splineWeights(cells, sub);
  const fine = cells * sub;
  let table = values;
  // Each axis is refined in turn; those before it are fine already.
  for (let axis = 0; axis < dimensions; axis++) {
    const inner = fine ** axis;
    const outer = cells ** (dimensions - axis - 1);
    const next = new Float64Array(inner * fine * outer);
    for (let o = 0; o < outer; o++) {
      for (let f = 0; f < fine; f++) {
        for (let c = 0; c < cells; c++) {
          const w = weights[f * cells + c];
          if (w === 0) continue;
          const from = (o * cells + c) * inner, to = (o * fine + f) * inner;
          for (let i = 0; i < inner; i++) next[to + i] += w * table[from + i];
        }
      }
    }
    table = next;
  }
  return table;
}

/** Row f: what each cell's value adds at sub-cell f. */
function splineWeights(cells: number, sub: number): Float64Array {
  // Second derivatives M (spacing 1): M_{i−1} + 4 M_i + M_{i+1} = 6 (y_{i−1} − 2 y_i + y_{i+1}).
  const at = (i: number) => ((i % cells) + cells) % cells;
  const system = new Float64Array(cells * cells);
  const right = new Float64Array(cells * cells);
  for (let i = 0; i < cells; i++) {
    for (const [step, left, value] of [[-1, 1, 6], [0, 4, -12], [1, 1, 6]]) {
      system[i * cells + at(i + step)] += left;
      right[i * cells + at(i + step)] += value;
    }
  }
  const inverse = invertLower(cholesky(system, cells), cells);
  const second = new Float64Array(cells * cells);
  for (let i = 0; i < cells; i++) {
    for (let j = 0; j < cells; j++) {
      let sum = 0;
      for (let k = 0; k < cells; k++) {
        let solved = 0; // (system⁻¹)_{ik}
        for (let l = 0; l < cells; l++) solved += inverse[l * cells + i] * inverse[l * cells + k];
        sum += solved * right[k * cells + j];
      }
      second[i * cells + j] = sum;
    }
  }
  const weights = new Float64Array(cells * sub * cells);
  for (let f = 0; f < cells * sub; f++) {
    const position = (f + 0.5) / sub - 0.5;
    const low = Math.floor(position);
    const b = position - low, a = 1 - b;
    const [i, j] = [at(low), at(low + 1)];
    weights[f * cells + i] += a;
    weights[f * cells + j] += b;
    for (let c = 0; c < cells; c++) {
      weights[f * cells + c] += (a ** 3 - a) / 6 * second[i * cells + c] +
        (b ** 3 - b) / 6 * second[j * cells + c];
    }
  }
  return weights;
}
