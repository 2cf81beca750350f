/**
 * The radial maps of the pair flow (docs/method.md section 4) in float64: tables, their evaluation, the
 * order of a sweep. What a sweep does to a configuration is in src/backends/reference/pair_flow.ts.
 */
import type { PairFlow } from "./model.ts";

/** R(r) of a table and R′(r). */
export interface RadialValue {
  mapped: number;
  slope: number;
}

/** Tables that change nothing: R_k(r) = r. */
export function identityFlow(levels: number, cells: number, width: number): PairFlow {
  const tables = new Float64Array(levels * (cells + 1));
  for (let at = 0; at < tables.length; at++) tables[at] = (at % (cells + 1)) * width;
  return { cells, width, tables };
}

/** The table of one level, (cells + 1). */
export function flowTable(flow: PairFlow, level: number): Float64Array {
  const nodes = flow.cells + 1;
  return flow.tables.subarray(level * nodes, (level + 1) * nodes);
}

/** R(r), R′(r): linear in cells, proportional to r beyond the last node. */
export function radialMap(table: Float64Array, width: number, r: number): RadialValue {
  const cells = table.length - 1;
  const cell = Math.floor(r / width);
  if (cell >= cells) {
    const slope = table[cells] / (cells * width);
    return { mapped: r * slope, slope };
  }
  const slope = (table[cell + 1] - table[cell]) / width;
  return { mapped: table[cell] + slope * (r - cell * width), slope };
}

/** The r whose R(r) is `mapped`, with R′ there: bisection over the nodes. */
export function inverseRadialMap(
  table: Float64Array,
  width: number,
  mapped: number,
): { r: number; slope: number } {
  const cells = table.length - 1;
  if (mapped >= table[cells]) {
    const slope = table[cells] / (cells * width);
    return { r: mapped / slope, slope };
  }
  let low = 0;
  let high = cells;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (table[middle] <= mapped) low = middle;
    else high = middle;
  }
  const slope = (table[low + 1] - table[low]) / width;
  return { r: low * width + (mapped - table[low]) / slope, slope };
}

/**
 * All pairs (i, j) in the order of an even level's sweep, flat: rounds of disjoint pairs, as in a
 * round-robin tournament, so that pairs next to each other can be moved side by side. An odd level
 * goes through it from the end.
 */
export function pairOrder(particles: number): Int32Array {
  const seats = particles + (particles & 1);
  const order: number[] = [];
  for (let round = 0; round < seats - 1; round++) {
    for (let k = 0; k < seats / 2; k++) {
      // The last seat is fixed, the others go round; an empty seat (odd N) has no pair.
      const a = k === 0 ? seats - 1 : (round + k) % (seats - 1);
      const b = (round + seats - 1 - k) % (seats - 1);
      if (a < particles && b < particles) order.push(Math.min(a, b), Math.max(a, b));
    }
  }
  return Int32Array.from(order);
}
