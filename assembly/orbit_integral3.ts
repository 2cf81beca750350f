// The orbit integral over O(3) for one matrix: singular values in scalar f64, the quadrature on
// f32x4 over nodes. Formulas and reference: src/mint/orbit_integral.ts.
import { exp4, i0e4, i1e4 } from "./math";
import { fma } from "./simd";

/** Nodes of the quadrature, a multiple of 4. */
export const NODES: i32 = 32;
/** Node tables, for s1 + s2 up to 1, 2, 4, ... (host: quadratureTables). */
export const LEVELS: i32 = 24;
/** Bytes of one level: lengths v, 1 − v and weights, NODES f32 each. */
export const LEVEL_BYTES: usize = 3 * 32 * 4;

// U (becomes U diag(s) while rotating) and V, row-major; then s.
const U = memory.data(9 * 8, 16);
const V = memory.data(9 * 8, 16);
const S = memory.data(3 * 8, 16);

/** Element k of a table of f64. */
// @ts-ignore: decorator
@inline function get(m: usize, k: i32): f64 {
  return load<f64>(m + (<usize>k << 3));
}

// @ts-ignore: decorator
@inline function set(m: usize, k: i32, value: f64): void {
  store<f64>(m + (<usize>k << 3), value);
}

/** Where the caller puts the matrix (f64, row-major), and finds ∂log I/∂C. */
export function orbitIntegral3Matrix(): usize { return U; }

/** Makes columns p and q orthogonal; false where they are already. */
function rotate(p: i32, q: i32): bool {
  const alpha = get(U, p) * get(U, p) + get(U, 3 + p) * get(U, 3 + p) + get(U, 6 + p) * get(U, 6 + p);
  const beta = get(U, q) * get(U, q) + get(U, 3 + q) * get(U, 3 + q) + get(U, 6 + q) * get(U, 6 + q);
  const gamma = get(U, p) * get(U, q) + get(U, 3 + p) * get(U, 3 + q) + get(U, 6 + p) * get(U, 6 + q);
  // Far below the f32 of the matrix itself.
  if (gamma * gamma <= 1e-24 * alpha * beta) return false;
  const zeta = (beta - alpha) / (2 * gamma);
  const t = (zeta >= 0 ? 1.0 : -1.0) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
  const c = 1 / Math.sqrt(1 + t * t);
  for (let row = 0; row < 9; row += 3) {
    const x = get(U, row + p);
    const y = get(U, row + q);
    set(U, row + p, c * (x - t * y));
    set(U, row + q, c * (t * x + y));
    const v = get(V, row + p);
    const w = get(V, row + q);
    set(V, row + p, c * (v - t * w));
    set(V, row + q, c * (t * v + w));
  }
  return true;
}

/** Exchanges columns i and j where they are in ascending order. */
function order(i: i32, j: i32): void {
  const a = get(S, i);
  const b = get(S, j);
  if (a >= b) return;
  set(S, i, b);
  set(S, j, a);
  for (let row = 0; row < 9; row += 3) {
    const x = get(U, row + i);
    set(U, row + i, get(U, row + j));
    set(U, row + j, x);
    const v = get(V, row + i);
    set(V, row + i, get(V, row + j));
    set(V, row + j, v);
  }
}

/** Unit columns of U; where a singular value is zero, any completion to an orthogonal matrix. */
function completeU(): void {
  const tiny = 1e-12 * get(S, 0);
  for (let c = 0; c < 2; c++) {
    const s = get(S, c);
    if (s > tiny) {
      for (let row = 0; row < 9; row += 3) set(U, row + c, get(U, row + c) / s);
      continue;
    }
    // A unit vector orthogonal to the first column (c = 1), or the first axis (c = 0).
    let best = 0;
    if (c == 1) {
      for (let r = 1; r < 3; r++) {
        if (Math.abs(get(U, 3 * r)) < Math.abs(get(U, 3 * best))) best = r;
      }
    }
    const along = c == 1 ? get(U, 3 * best) : 0.0;
    let square: f64 = 0;
    for (let r = 0; r < 3; r++) {
      const e = (r == best ? 1.0 : 0.0) - (c == 1 ? along * get(U, 3 * r) : 0.0);
      set(U, 3 * r + c, e);
      square += e * e;
    }
    const norm = 1 / Math.sqrt(square);
    for (let row = 0; row < 9; row += 3) set(U, row + c, get(U, row + c) * norm);
  }
  const s = get(S, 2);
  if (s > tiny) {
    for (let row = 0; row < 9; row += 3) set(U, row + 2, get(U, row + 2) / s);
  } else {
    set(U, 2, get(U, 3) * get(U, 7) - get(U, 6) * get(U, 4));
    set(U, 5, get(U, 6) * get(U, 1) - get(U, 0) * get(U, 7));
    set(U, 8, get(U, 0) * get(U, 4) - get(U, 3) * get(U, 1));
  }
}

// @ts-ignore: decorator
@inline function sumLanes(v: v128): f64 {
  return <f64>f32x4.extract_lane(v, 0) + <f64>f32x4.extract_lane(v, 1) +
    <f64>f32x4.extract_lane(v, 2) + <f64>f32x4.extract_lane(v, 3);
}

/**
 * log I(C) − `shift`, for the finite matrix at orbitIntegral3Matrix(), which is overwritten by
 * ∂log I/∂C. Absolute error below 2e-5 (32 nodes, f32).
 *
 * @param tables node tables, LEVELS of LEVEL_BYTES
 */
export function logOrbitIntegral3(tables: usize, shift: f64): f64 {
  memory.fill(V, 0, 72);
  set(V, 0, 1);
  set(V, 4, 1);
  set(V, 8, 1);
  for (let sweep = 0; sweep < 20; sweep++) {
    const first = rotate(0, 1);
    const second = rotate(0, 2);
    const third = rotate(1, 2);
    if (!first && !second && !third) break;
  }
  for (let c = 0; c < 3; c++) {
    const x = get(U, c);
    const y = get(U, 3 + c);
    const z = get(U, 6 + c);
    set(S, c, Math.sqrt(x * x + y * y + z * z));
  }
  order(0, 1);
  order(1, 2);
  order(0, 1);
  completeU();
  const s1 = get(S, 0);
  const s2 = get(S, 1);
  const s3 = get(S, 2);

  // Level l serves s1 + s2 in (2^(l−1), 2^l]: the binary exponent of 1 + s1 + s2.
  const exponent = <i32>((reinterpret<u64>(1 + s1 + s2) >> 52) & 0x7ff) - 1023;
  const table = tables + LEVEL_BYTES * <usize>min(exponent, LEVELS - 1);
  const a = f32x4.splat(<f32>(s1 - s2));
  const b = f32x4.splat(<f32>(s1 + s2));
  const minus2 = f32x4.splat(<f32>(-2 * s2));
  const minus3 = f32x4.splat(<f32>(-2 * s3));
  let sum = f32x4.splat(0);
  let byA = sum;
  let byB = sum;
  let byS2 = sum;
  let byS3 = sum;
  for (let k: usize = 0; k < 4 * <usize>NODES; k += 16) {
    const low = v128.load(table + k);
    const high = v128.load(table + k, 4 * 32);
    const jacobian = v128.load(table + k, 8 * 32);
    const al = f32x4.mul(a, low);
    const bh = f32x4.mul(b, high);
    const ia = i0e4(al);
    const ib = i0e4(bh);
    const plus = exp4(f32x4.mul(minus3, low));
    const minus = exp4(f32x4.mul(minus3, high));
    const weight = f32x4.mul(jacobian, exp4(f32x4.mul(minus2, low)));
    const common = f32x4.mul(weight, f32x4.add(plus, minus));
    const both = f32x4.mul(ia, ib);
    const value = f32x4.mul(common, both);
    sum = f32x4.add(sum, value);
    byA = fma(f32x4.mul(f32x4.mul(common, ib), low), f32x4.sub(i1e4(al), ia), byA);
    byB = fma(f32x4.mul(f32x4.mul(common, ia), high), f32x4.sub(i1e4(bh), ib), byB);
    byS2 = fma(low, value, byS2);
    byS3 = fma(f32x4.mul(weight, both), fma(low, plus, f32x4.mul(high, minus)), byS3);
  }
  const total = sumLanes(sum);
  const slopeA = sumLanes(byA) / total;
  const slopeB = sumLanes(byB) / total;
  const g1 = 1 + slopeA + slopeB;
  const g2 = 1 + slopeB - slopeA - 2 * sumLanes(byS2) / total;
  const g3 = 1 - 2 * sumLanes(byS3) / total;
  for (let row = 0; row < 9; row += 3) {
    const x = g1 * get(U, row);
    const y = g2 * get(U, row + 1);
    const z = g3 * get(U, row + 2);
    for (let j = 0; j < 3; j++) {
      set(U, row + j, x * get(V, 3 * j) + y * get(V, 3 * j + 1) + z * get(V, 3 * j + 2));
    }
  }
  return s1 + s2 + s3 - shift + Math.log(0.5 * total);
}
