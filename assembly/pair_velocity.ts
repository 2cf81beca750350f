// The fitted pair drift of a cluster path on a block of four systems (src/julep/pair_path.ts):
//   v_i = Σ_{j≠i} g(|x_i − x_j|) (x_i − x_j),
// g linear between the nodes of a table and constant beyond the last. It keeps the centre of mass.
// The float64 oracle is src/backends/reference/pair_velocity.ts.
import { fma, fnma } from "./simd";

/** Four values of a table at four places. */
// @ts-ignore: decorator
@inline function gather(table: usize, cell: v128): v128 {
  let v = v128.load32_zero(table + (<usize>i32x4.extract_lane(cell, 0) << 2));
  v = v128.load32_lane(table + (<usize>i32x4.extract_lane(cell, 1) << 2), v, 1);
  v = v128.load32_lane(table + (<usize>i32x4.extract_lane(cell, 2) << 2), v, 2);
  return v128.load32_lane(table + (<usize>i32x4.extract_lane(cell, 3) << 2), v, 3);
}

/** Overwrites `velocity` (N·n f32x4). table: f32[cells + 1], nodes 1/inverseWidth apart. */
export function pairVelocity(
  x: usize, N: i32, n: i32, table: usize, cells: i32, inverseWidth: f32, velocity: usize,
): void {
  const stride = <usize>n << 4;
  const end = x + <usize>N * stride;
  const out = velocity - x;
  const zero = f32x4.splat(0);
  const scale = f32x4.splat(inverseWidth);
  const last = i32x4.splat(cells - 1);
  const edge = f32x4.splat(<f32>cells);
  for (let at = velocity; at < velocity + <usize>N * stride; at += 16) v128.store(at, zero);
  for (let i = x; i < end; i += stride) {
    for (let j = i + stride; j < end; j += stride) {
      const dx = f32x4.sub(v128.load(i), v128.load(j));
      const dy = f32x4.sub(v128.load(i, 16), v128.load(j, 16));
      const dz = n == 3 ? f32x4.sub(v128.load(i, 32), v128.load(j, 32)) : zero;
      const squared = fma(dz, dz, fma(dy, dy, f32x4.mul(dx, dx)));
      const place = f32x4.mul(f32x4.sqrt(squared), scale);
      // NaN goes to cell 0 and stays NaN by way of `inner`.
      const cell = i32x4.min_s(i32x4.trunc_sat_f32x4_s(place), last);
      const low = gather(table, cell);
      const high = gather(table + 4, cell);
      const inner = f32x4.sub(f32x4.pmin(edge, place), f32x4.convert_i32x4_s(cell));
      const g = fma(f32x4.sub(high, low), inner, low);
      const vi = i + out;
      const vj = j + out;
      v128.store(vi, fma(g, dx, v128.load(vi)));
      v128.store(vi, fma(g, dy, v128.load(vi, 16)), 16);
      v128.store(vj, fnma(g, dx, v128.load(vj)));
      v128.store(vj, fnma(g, dy, v128.load(vj, 16)), 16);
      if (n == 3) {
        v128.store(vi, fma(g, dz, v128.load(vi, 32)), 32);
        v128.store(vj, fnma(g, dz, v128.load(vj, 32)), 32);
      }
    }
  }
}

/** pairVelocity of `blocks` blocks, for the tests. */
export function pairVelocityBatch(
  x: usize, N: i32, n: i32, table: usize, cells: i32, inverseWidth: f32, velocity: usize, blocks: i32,
): void {
  const size = <usize>(N * n) << 4;
  for (let b = 0; b < blocks; b++) {
    pairVelocity(x, N, n, table, cells, inverseWidth, velocity);
    x += size;
    velocity += size;
  }
}
