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
   * f32[2·(cells + 1)] a level: R − r at the cell's lower node, and R′ − 1 in the cell. The last is the
   * tail, where R is proportional to r. Deviations, not R itself: differences of R would lose digits.
   */
  tables: usize;
  /** N·n. */
  size: i32;
}

// A product of this many Jacobians, each in [1/8, 8], is far from overflow.
// @ts-ignore: decorator
@inline const FLUSH: i32 = 16;

const CONSTANTS = memory.data<f32>([1, 0.5], 16);

// @ts-ignore: decorator
@inline function constant(k: usize): v128 { return v128.load_splat<f32>(CONSTANTS + (k << 2)); }

// @ts-ignore: decorator
@inline function entry(table: usize, cell: i32): usize { return table + ((<usize>cell) << 3); }

/** The cell whose image holds `mapped`: bisection over R = c·width + (R − r)_c. */
function cellOf(flow: PairFlow, table: usize, mapped: f32): i32 {
  const cells = flow.cells;
  const width = flow.width;
  if (!(mapped < <f32>cells * width + load<f32>(entry(table, cells)))) return cells;
  let low = 0;
  let high = cells;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (<f32>middle * width + load<f32>(entry(table, middle)) <= mapped) low = middle;
    else high = middle;
  }
  return low;
}

/** `n` and `inverse` are literals, so that each call compiles to its own loop. */
// @ts-ignore: decorator
@inline function sweep(
  flow: PairFlow, table: usize, x: usize, n: i32, inverse: bool, fromEnd: bool,
): v128 {
  const last = flow.cells;
  const width = flow.width;
  const scale = flow.inverseWidth;
  let at = flow.order + (fromEnd ? ((<usize>flow.pairs - 1) << 3) : 0);
  const step: usize = fromEnd ? -8 : 8;
  let logDeterminant = f32x4.splat(0);
  let product = constant(0);
  for (let p = 0; p < flow.pairs; p++) {
    const i = x + <usize>load<i32>(at);
    const j = x + <usize>load<i32>(at, 4);
    at += step;
    const xi = v128.load(i);
    const yi = v128.load(i, 16);
    const xj = v128.load(j);
    const yj = v128.load(j, 16);
    const dx = f32x4.sub(xi, xj);
    const dy = f32x4.sub(yi, yj);
    let squared = fma(dy, dy, f32x4.mul(dx, dx));
    let zi = xi;
    let zj = xj;
    let dz = dx;
    if (n == 3) {
      zi = v128.load(i, 32);
      zj = v128.load(j, 32);
      dz = f32x4.sub(zi, zj);
      squared = fma(dz, dz, squared);
    }
    const one = constant(0);
    const length = f32x4.sqrt(squared);
    let cell: v128;
    if (inverse) {
      cell = i32x4.splat(cellOf(flow, table, f32x4.extract_lane(length, 0)));
      cell = i32x4.replace_lane(cell, 1, cellOf(flow, table, f32x4.extract_lane(length, 1)));
      cell = i32x4.replace_lane(cell, 2, cellOf(flow, table, f32x4.extract_lane(length, 2)));
      cell = i32x4.replace_lane(cell, 3, cellOf(flow, table, f32x4.extract_lane(length, 3)));
    } else {
      // NaN goes to cell 0 and infinity to the tail; both stay what they are.
      cell = i32x4.trunc_sat_f32x4_s(f32x4.mul(length, f32x4.splat(scale)));
      cell = i32x4.min_s(cell, i32x4.splat(last));
    }
    let low = v128.load64_zero(entry(table, i32x4.extract_lane(cell, 0)));
    low = v128.load64_lane(entry(table, i32x4.extract_lane(cell, 1)), low, 1);
    let high = v128.load64_zero(entry(table, i32x4.extract_lane(cell, 2)));
    high = v128.load64_lane(entry(table, i32x4.extract_lane(cell, 3)), high, 1);
    const gap = v128.shuffle<f32>(low, high, 0, 2, 4, 6);
    const bend = v128.shuffle<f32>(low, high, 1, 3, 5, 7);
    const slope = f32x4.add(one, bend);
    const node = f32x4.mul(f32x4.convert_i32x4_s(cell), f32x4.splat(width));
    let f: v128;
    let shift: v128;
    if (inverse) {
      const inner = f32x4.div(f32x4.sub(f32x4.sub(length, node), gap), slope);
      const r = f32x4.add(node, inner);
      f = f32x4.div(fma(bend, inner, gap), r);
      shift = f32x4.neg(f32x4.div(f, f32x4.add(one, f)));
    } else {
      f = f32x4.div(fma(bend, f32x4.sub(length, node), gap), length);
      shift = f;
    }
    const ratio = f32x4.add(one, f);
    let factor = f32x4.mul(ratio, slope);
    if (n == 3) factor = f32x4.mul(factor, ratio);
    product = f32x4.mul(product, factor);
    if ((p & (FLUSH - 1)) == FLUSH - 1) {
      logDeterminant = f32x4.add(logDeterminant, log4(product));
      product = one;
    }
    shift = f32x4.mul(shift, constant(1));
    v128.store(i, fma(shift, dx, xi));
    v128.store(i, fma(shift, dy, yi), 16);
    v128.store(j, fnma(shift, dx, xj));
    v128.store(j, fnma(shift, dy, yj), 16);
    if (n == 3) {
      v128.store(i, fma(shift, dz, zi), 32);
      v128.store(j, fnma(shift, dz, zj), 32);
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
