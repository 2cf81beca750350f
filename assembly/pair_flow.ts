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

/** `n` and `inverse` are literals, so that each call compiles to its own loop. */
// @ts-ignore: decorator
@inline function sweep(
  flow: PairFlow, table: usize, x: usize, n: i32, inverse: bool, fromEnd: bool,
): v128 {
  v128.store(CONSTANTS, f32x4.splat(flow.inverseWidth), 32);
  v128.store(CONSTANTS, i32x4.splat(flow.cells), 48);
  let at = flow.order + (fromEnd ? ((<usize>flow.pairs - 1) << 3) : 0);
  const step: usize = fromEnd ? -8 : 8;
  let logDeterminant = f32x4.splat(0);
  let product = constant(0);
  for (let left = flow.pairs; left > 0; left--) {
    const i = x + <usize>load<i32>(at);
    const j = x + <usize>load<i32>(at, 4);
    at += step;
    const dx = f32x4.sub(v128.load(i), v128.load(j));
    const dy = f32x4.sub(v128.load(i, 16), v128.load(j, 16));
    const dz = n == 3 ? f32x4.sub(v128.load(i, 32), v128.load(j, 32)) : dx;
    let squared = fma(dy, dy, f32x4.mul(dx, dx));
    if (n == 3) squared = fma(dz, dz, squared);
    const length = f32x4.sqrt(squared);
    // Beside the look-up, which is the longer way.
    const inverseLength = f32x4.div(constant(0), length);
    let cell: v128;
    if (inverse) {
      cell = i32x4.splat(cellOf(flow, table, f32x4.extract_lane(length, 0)));
      cell = i32x4.replace_lane(cell, 1, cellOf(flow, table, f32x4.extract_lane(length, 1)));
      cell = i32x4.replace_lane(cell, 2, cellOf(flow, table, f32x4.extract_lane(length, 2)));
      cell = i32x4.replace_lane(cell, 3, cellOf(flow, table, f32x4.extract_lane(length, 3)));
    } else {
      cell = cellsOf(length);
    }
    let low = v128.load64_zero(entry(table, i32x4.extract_lane(cell, 0)));
    low = v128.load64_lane(entry(table, i32x4.extract_lane(cell, 1)), low, 1);
    let high = v128.load64_zero(entry(table, i32x4.extract_lane(cell, 2)));
    high = v128.load64_lane(entry(table, i32x4.extract_lane(cell, 3)), high, 1);
    const alpha = v128.shuffle<f32>(low, high, 0, 2, 4, 6);
    const beta = v128.shuffle<f32>(low, high, 1, 3, 5, 7);
    const one = constant(0);
    const two = constant(1);
    const slope = fma(two, beta, one);
    // ½ (R/r − 1), and what the particles move by in units of d.
    let half: v128;
    let shift: v128;
    if (inverse) {
      const r = f32x4.div(fnma(two, alpha, length), slope);
      half = f32x4.add(f32x4.div(alpha, r), beta);
    } else {
      half = fma(alpha, inverseLength, beta);
    }
    const ratio = fma(two, half, one);
    if (inverse) shift = f32x4.neg(f32x4.div(half, ratio));
    else shift = half;
    let factor = f32x4.mul(ratio, slope);
    if (n == 3) factor = f32x4.mul(factor, ratio);
    product = f32x4.mul(product, factor);
    v128.store(i, fma(shift, dx, v128.load(i)));
    v128.store(i, fma(shift, dy, v128.load(i, 16)), 16);
    if (n == 3) v128.store(i, fma(shift, dz, v128.load(i, 32)), 32);
    v128.store(j, fnma(shift, dx, v128.load(j)));
    v128.store(j, fnma(shift, dy, v128.load(j, 16)), 16);
    if (n == 3) v128.store(j, fnma(shift, dz, v128.load(j, 32)), 32);
    if ((left & (FLUSH - 1)) == 0) {
      logDeterminant = f32x4.add(logDeterminant, log4(product));
      product = constant(0);
    }
  }
  return f32x4.add(logDeterminant, log4(product));
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
  for (let b = 0; b < blocks; b++) {
    const value = inverse ? inversePairFlow(flow, level, x) : pairFlow(flow, level, x);
    v128.store(logDeterminant, value);
    x += size;
    logDeterminant += 16;
  }
}
