/**
 * One sweep of the pair flow in float64, and its inverse: the oracle of assembly/pair_flow.ts.
 *
 * Every pair in turn: d = x_i − x_j, r = |d| → R(r) with the midpoint held,
 *   x_i += ½ (R/r − 1) d,  x_j −= ½ (R/r − 1) d,   log|J| += (n − 1) log(R/r) + log R′(r).
 * The centre of mass stays, and rotations and reflections commute with it.
 */
import { flowTable, inverseRadialMap, pairOrder, radialMap } from "../../path/flow.ts";
import type { PairFlow } from "../../path/model.ts";

/** Moves x (N, n) by the sweep of `level`; returns log|∂x′/∂x|. */
export function pairFlow(
  flow: PairFlow,
  level: number,
  x: Float64Array,
  dimension: 2 | 3,
): number {
  return sweep(flow, level, x, dimension, false);
}

/** Undoes the sweep of `level`; returns log|∂x′/∂x| of the sweep it undoes. */
export function inversePairFlow(
  flow: PairFlow,
  level: number,
  x: Float64Array,
  dimension: 2 | 3,
): number {
  return sweep(flow, level, x, dimension, true);
}

function sweep(
  flow: PairFlow,
  level: number,
  x: Float64Array,
  n: 2 | 3,
  inverse: boolean,
): number {
  const table = flowTable(flow, level);
  const order = pairOrder(x.length / n);
  const pairs = order.length / 2;
  const fromEnd = (level & 1) === 1;
  let logDeterminant = 0;
  for (let p = 0; p < pairs; p++) {
    const pair = fromEnd !== inverse ? pairs - 1 - p : p;
    const i = order[2 * pair] * n;
    const j = order[2 * pair + 1] * n;
    let squared = 0;
    for (let a = 0; a < n; a++) squared += (x[i + a] - x[j + a]) ** 2;
    const length = Math.sqrt(squared);
    let factor: number;
    if (inverse) {
      const { r, slope } = inverseRadialMap(table, flow.width, length);
      logDeterminant += (n - 1) * Math.log(length / r) + Math.log(slope);
      factor = r / length;
    } else {
      const { mapped, slope } = radialMap(table, flow.width, length);
      factor = mapped / length;
      logDeterminant += (n - 1) * Math.log(factor) + Math.log(slope);
    }
    for (let a = 0; a < n; a++) {
      const shift = 0.5 * (factor - 1) * (x[i + a] - x[j + a]);
      x[i + a] += shift;
      x[j + a] -= shift;
    }
  }
  return logDeterminant;
}
