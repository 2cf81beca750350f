// One sweep of the pair flow on a block of four systems, and its inverse (docs/method.md section 4):
//   d = x_i − x_j, r = |d| → R(r), x_i += ½ f d, x_j −= ½ f d, f = R/r − 1,
//   log|J| += (n − 1) log(1 + f) + log R′(r).
// Neighbours in the order are disjoint pairs, so that one's arithmetic runs beside another's.
// The float64 oracle is src/backends/reference/pair_flow.ts.
import { log4 } from "./math";
import { fma, fnma } from "./simd";

/** What the host writes, field by field, 4 bytes each (src/backends/wasm/path.ts). */
@unmanaged
export class PairFlow {
  dimension: i32;
  cells: i32;
  width: f32;
  inverseWidth: f32;
  /** i32[2·pairs]: byte offsets of the particles of each pair in a block. */
  order: usize;
  pairs: i32;
  /**
   * f32[2·(cells + 1)] a level: a cell's R = r + 2(α + βr), α and β. The last is the tail, where R is
   * proportional to r and α = 0. Deviations from r: differences of R would lose digits; and halves of
   * them: both particles of a pair move by half.
   */
  tables: usize;
  /** N·n. */
  size: i32;
}

// A product of this many Jacobians, each in [1/8, 8], is far from overflow.
// @ts-ignore: decorator
@inline const FLUSH: i32 = 16;

// 0 one, 1 two; of the flow at hand: 2 1/width, 3 the number of the last cell.
const CONSTANTS = memory.data<f32>([1, 1, 1, 1, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0], 16);

// @ts-ignore: decorator
@inline function constant(k: usize): v128 { return v128.load(CONSTANTS + (k << 4)); }

// @ts-ignore: decorator
@inline function entry(table: usize, cell: i32): usize { return table + ((<usize>cell) << 3); }

/** R of the lower node of a cell. */
// @ts-ignore: decorator
@inline function imageOf(flow: PairFlow, table: usize, cell: i32): f32 {
  const node = <f32>cell * flow.width;
  const half = load<f32>(entry(table, cell)) + load<f32>(entry(table, cell), 4) * node;
  return node + 2 * half;
}

/** The cell whose image holds `mapped`, by bisection. */
function cellOf(flow: PairFlow, table: usize, mapped: f32): i32 {
  let low = 0;
  let high = flow.cells;
  if (!(mapped < imageOf(flow, table, high))) return high;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (imageOf(flow, table, middle) <= mapped) low = middle;
    else high = middle;
  }
  return low;
}

/** The cells that hold the lengths: NaN goes to cell 0 or to the tail, and stays NaN in either. */
// @ts-ignore: decorator
@inline function cellsOf(length: v128): v128 {
  const scaled = f32x4.mul(length, constant(2));
  const last = constant(3);
  // Where it is one instruction of the machine, what is out of range becomes a large unsigned number.
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.min_u(i32x4.relaxed_trunc_f32x4_s(scaled), last);
  return i32x4.min_s(i32x4.trunc_sat_f32x4_s(scaled), last);
}

/** Constants of a sweep to static memory. */
// @ts-ignore: decorator
@inline function setFlow(flow: PairFlow): void {
  v128.store(CONSTANTS, f32x4.splat(flow.inverseWidth), 32);
  v128.store(CONSTANTS, i32x4.splat(flow.cells), 48);
}

// @ts-ignore: decorator
@inline function lengthOf(n: i32, i: usize, j: usize): v128 {
  const dx = f32x4.sub(v128.load(i), v128.load(j));
  const dy = f32x4.sub(v128.load(i, 16), v128.load(j, 16));
  let squared = fma(dy, dy, f32x4.mul(dx, dx));
  if (n == 3) {
    const dz = f32x4.sub(v128.load(i, 32), v128.load(j, 32));
    squared = fma(dz, dz, squared);
  }
  return f32x4.sqrt(squared);
}

/** Entries of the cells of two lanes, `first` and the one after it: α, β, α, β. */
// @ts-ignore: decorator
@inline function entries(table: usize, cell: v128, first: i32): v128 {
  const a = first == 0 ? i32x4.extract_lane(cell, 0) : i32x4.extract_lane(cell, 2);
  const b = first == 0 ? i32x4.extract_lane(cell, 1) : i32x4.extract_lane(cell, 3);
  return v128.load64_lane(entry(table, b), v128.load64_zero(entry(table, a)), 1);
}

/** (R/r)^(n − 1) R′ from ½ (R/r − 1) and β. */
// @ts-ignore: decorator
@inline function jacobianOf(n: i32, half: v128, beta: v128): v128 {
  const one = constant(0);
  const two = constant(1);
  const ratio = fma(two, half, one);
  const factor = f32x4.mul(ratio, fma(two, beta, one));
  return n == 3 ? f32x4.mul(factor, ratio) : factor;
}

/** x_i += shift·d, x_j −= shift·d. */
// @ts-ignore: decorator
@inline function movePair(n: i32, i: usize, j: usize, shift: v128): void {
  const xi = v128.load(i);
  const xj = v128.load(j);
  const dx = f32x4.sub(xi, xj);
  v128.store(i, fma(shift, dx, xi));
  v128.store(j, fnma(shift, dx, xj));
  const yi = v128.load(i, 16);
  const yj = v128.load(j, 16);
  const dy = f32x4.sub(yi, yj);
  v128.store(i, fma(shift, dy, yi), 16);
  v128.store(j, fnma(shift, dy, yj), 16);
  if (n == 3) {
    const zi = v128.load(i, 32);
    const zj = v128.load(j, 32);
    const dz = f32x4.sub(zi, zj);
    v128.store(i, fma(shift, dz, zi), 32);
    v128.store(j, fnma(shift, dz, zj), 32);
  }
}

/** `n` and `inverse` are literals, so that each call compiles to its own loop. */
// @ts-ignore: decorator
@inline function sweep(
  flow: PairFlow, table: usize, x: usize, n: i32, inverse: bool, fromEnd: bool,
): v128 {
  setFlow(flow);
  let at = flow.order + (fromEnd ? ((<usize>flow.pairs - 1) << 3) : 0);
  const step: usize = fromEnd ? -8 : 8;
  let logDeterminant = f32x4.splat(0);
  let product = constant(0);
  for (let left = flow.pairs; left > 0; left--) {
    const i = x + <usize>load<i32>(at);
    const j = x + <usize>load<i32>(at, 4);
    at += step;
    const length = lengthOf(n, i, j);
    let cell: v128;
    if (inverse) {
      cell = i32x4.splat(cellOf(flow, table, f32x4.extract_lane(length, 0)));
      cell = i32x4.replace_lane(cell, 1, cellOf(flow, table, f32x4.extract_lane(length, 1)));
      cell = i32x4.replace_lane(cell, 2, cellOf(flow, table, f32x4.extract_lane(length, 2)));
      cell = i32x4.replace_lane(cell, 3, cellOf(flow, table, f32x4.extract_lane(length, 3)));
    } else {
      cell = cellsOf(length);
    }
    const low = entries(table, cell, 0);
    const high = entries(table, cell, 2);
    const alpha = v128.shuffle<f32>(low, high, 0, 2, 4, 6);
    const beta = v128.shuffle<f32>(low, high, 1, 3, 5, 7);
    let r = length;
    if (inverse) {
      const slope = fma(constant(1), beta, constant(0));
      r = f32x4.div(fnma(constant(1), alpha, length), slope);
    }
    // Not α/r: the division would wait for the look-up.
    const half = fma(alpha, f32x4.div(constant(0), r), beta);
    product = f32x4.mul(product, jacobianOf(n, half, beta));
    let shift = half;
    if (inverse) shift = f32x4.neg(f32x4.div(half, fma(constant(1), half, constant(0))));
    movePair(n, i, j, shift);
    if ((left & (FLUSH - 1)) == 0) {
      logDeterminant = f32x4.add(logDeterminant, log4(product));
      product = constant(0);
    }
  }
  return f32x4.add(logDeterminant, log4(product));
}

/** log|J| of the second block of `twoForward`. */
export const SECOND = memory.data(16, 16);

/**
 * Forward sweeps of two blocks, x and y, at once: one's arithmetic runs where the other's waits. The
 * same numbers as of one at a time.
 */
// @ts-ignore: decorator
@inline function twoSweeps(
  flow: PairFlow, table: usize, x: usize, y: usize, n: i32, fromEnd: bool,
): v128 {
  setFlow(flow);
  let at = flow.order + (fromEnd ? ((<usize>flow.pairs - 1) << 3) : 0);
  const step: usize = fromEnd ? -8 : 8;
  const other = y - x;
  let logX = f32x4.splat(0), logY = f32x4.splat(0);
  let productX = constant(0), productY = constant(0);
  for (let left = flow.pairs; left > 0; left--) {
    const i = x + <usize>load<i32>(at);
    const j = x + <usize>load<i32>(at, 4);
    at += step;
    const lengthX = lengthOf(n, i, j);
    const lengthY = lengthOf(n, i + other, j + other);
    const cellX = cellsOf(lengthX);
    const inverseX = f32x4.div(constant(0), lengthX);
    const cellY = cellsOf(lengthY);
    const inverseY = f32x4.div(constant(0), lengthY);
    let low = entries(table, cellX, 0);
    let high = entries(table, cellX, 2);
    const betaX = v128.shuffle<f32>(low, high, 1, 3, 5, 7);
    const halfX = fma(v128.shuffle<f32>(low, high, 0, 2, 4, 6), inverseX, betaX);
    low = entries(table, cellY, 0);
    high = entries(table, cellY, 2);
    const betaY = v128.shuffle<f32>(low, high, 1, 3, 5, 7);
    const halfY = fma(v128.shuffle<f32>(low, high, 0, 2, 4, 6), inverseY, betaY);
    movePair(n, i, j, halfX);
    movePair(n, i + other, j + other, halfY);
    productX = f32x4.mul(productX, jacobianOf(n, halfX, betaX));
    productY = f32x4.mul(productY, jacobianOf(n, halfY, betaY));
    if ((left & (FLUSH - 1)) == 0) {
      logX = f32x4.add(logX, log4(productX));
      logY = f32x4.add(logY, log4(productY));
      productX = constant(0);
      productY = constant(0);
    }
  }
  v128.store(SECOND, f32x4.add(logY, log4(productY)));
  return f32x4.add(logX, log4(productX));
}

function forward2(flow: PairFlow, table: usize, x: usize, fromEnd: bool): v128 {
  return sweep(flow, table, x, 2, false, fromEnd);
}
function forward3(flow: PairFlow, table: usize, x: usize, fromEnd: bool): v128 {
  return sweep(flow, table, x, 3, false, fromEnd);
}
function inverse2(flow: PairFlow, table: usize, x: usize, fromEnd: bool): v128 {
  return sweep(flow, table, x, 2, true, fromEnd);
}
function inverse3(flow: PairFlow, table: usize, x: usize, fromEnd: bool): v128 {
  return sweep(flow, table, x, 3, true, fromEnd);
}

function twoForward2(flow: PairFlow, table: usize, x: usize, y: usize, fromEnd: bool): v128 {
  return twoSweeps(flow, table, x, y, 2, fromEnd);
}
function twoForward3(flow: PairFlow, table: usize, x: usize, y: usize, fromEnd: bool): v128 {
  return twoSweeps(flow, table, x, y, 3, fromEnd);
}

/** Moves x and y by the sweep of `level`; returns log|∂x′/∂x|, and that of y to SECOND. */
export function twoPairFlows(flow: PairFlow, level: i32, x: usize, y: usize): v128 {
  const table = tableOf(flow, level);
  const odd = (level & 1) == 1;
  return flow.dimension == 3
    ? twoForward3(flow, table, x, y, odd)
    : twoForward2(flow, table, x, y, odd);
}

/** Moves x by the sweep of `level`; returns log|∂x′/∂x|. */
export function pairFlow(flow: PairFlow, level: i32, x: usize): v128 {
  return pairFlowWith(flow, tableOf(flow, level), level, x);
}

/** The same with another table. */
export function pairFlowWith(flow: PairFlow, table: usize, level: i32, x: usize): v128 {
  const odd = (level & 1) == 1;
  return flow.dimension == 3 ? forward3(flow, table, x, odd) : forward2(flow, table, x, odd);
}

/** Undoes the sweep of `level`; returns log|∂x′/∂x| of the sweep it undoes. */
export function inversePairFlow(flow: PairFlow, level: i32, x: usize): v128 {
  const table = tableOf(flow, level);
  const even = (level & 1) == 0;
  return flow.dimension == 3 ? inverse3(flow, table, x, even) : inverse2(flow, table, x, even);
}

// @ts-ignore: decorator
@inline function tableOf(flow: PairFlow, level: i32): usize {
  return flow.tables + ((<usize>level * (<usize>flow.cells + 1)) << 3);
}

/** pairFlow (inverse 0) or inversePairFlow of `blocks` blocks; logDeterminant: `blocks` f32x4. */
export function pairFlowBatch(
  address: usize, level: i32, x: usize, logDeterminant: usize, blocks: i32, inverse: i32,
): void {
  const flow = changetype<PairFlow>(address);
  const size = <usize>flow.size << 4;
  let b = 0;
  for (; !inverse && b + 2 <= blocks; b += 2) {
    v128.store(logDeterminant, twoPairFlows(flow, level, x, x + size));
    v128.store(logDeterminant, v128.load(SECOND), 16);
    x += 2 * size;
    logDeterminant += 32;
  }
  for (; b < blocks; b++) {
    const value = inverse ? inversePairFlow(flow, level, x) : pairFlow(flow, level, x);
    v128.store(logDeterminant, value);
    x += size;
    logDeterminant += 16;
  }
}
