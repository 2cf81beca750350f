// Products of row-major float32 matrices with packed weights, and their weight gradient.
//
// Rows come in groups of four: one edge, or one particle, of the four systems of a block. The inner
// kernel holds a tile of 4 rows x 8 columns in eight registers. Every row goes through the same
// instructions whatever the others hold, so a system's result never depends on its neighbours.
//
// Packed weights: panels of 8 output columns; panel p holds, for k = 0 .. K-1, the eight numbers
// W[8p .. 8p+7][k] of y = W x (W is (out, in)).
import { fma } from "./simd";
import { tanh4 } from "./math";

// @ts-ignore: decorator
@inline const SET: i32 = 0;
// @ts-ignore: decorator
@inline const ADD: i32 = 1;
// @ts-ignore: decorator
@inline const TANH: i32 = 2;
// @ts-ignore: decorator
@inline const ADD_TANH: i32 = 3;

// @ts-ignore: decorator
@inline function finish(c: usize, value: v128, epilogue: i32): void {
  if (epilogue == ADD || epilogue == ADD_TANH) value = f32x4.add(value, v128.load(c));
  if (epilogue == TANH || epilogue == ADD_TANH) value = tanh4(value);
  v128.store(c, value);
}

// @ts-ignore: decorator
@inline function product(
  a: usize, lda: usize, packed: usize, bias: usize, c: usize, ldc: usize,
  groups: i32, K: i32, columns: i32, epilogue: i32,
): void {
  const bytes = <usize>K << 2;
  for (let column = 0; column < columns; column += 8) {
    let row = a;
    let out = c;
    for (let g = 0; g < groups; g++) {
      let c00 = v128.load(bias), c01 = v128.load(bias, 16);
      let c10 = c00, c11 = c01, c20 = c00, c21 = c01, c30 = c00, c31 = c01;
      let a0 = row;
      let a1 = a0 + lda;
      let a2 = a1 + lda;
      let a3 = a2 + lda;
      row = a3 + lda;
      let b = packed;
      const end = a0 + bytes;
      // Unrolled by exactly two: more makes V8 spill accumulators.
      do {
        let b0 = v128.load(b), b1 = v128.load(b, 16);
        let s = v128.load_splat<f32>(a0);
        c00 = fma(s, b0, c00);
        c01 = fma(s, b1, c01);
        s = v128.load_splat<f32>(a1);
        c10 = fma(s, b0, c10);
        c11 = fma(s, b1, c11);
        s = v128.load_splat<f32>(a2);
        c20 = fma(s, b0, c20);
        c21 = fma(s, b1, c21);
        s = v128.load_splat<f32>(a3);
        c30 = fma(s, b0, c30);
        c31 = fma(s, b1, c31);
        b0 = v128.load(b, 32);
        b1 = v128.load(b, 48);
        s = v128.load_splat<f32>(a0, 4);
        c00 = fma(s, b0, c00);
        c01 = fma(s, b1, c01);
        s = v128.load_splat<f32>(a1, 4);
        c10 = fma(s, b0, c10);
        c11 = fma(s, b1, c11);
        s = v128.load_splat<f32>(a2, 4);
        c20 = fma(s, b0, c20);
        c21 = fma(s, b1, c21);
        s = v128.load_splat<f32>(a3, 4);
        c30 = fma(s, b0, c30);
        c31 = fma(s, b1, c31);
        a0 += 8;
        a1 += 8;
        a2 += 8;
        a3 += 8;
        b += 64;
      } while (a0 < end);
      let o = out;
      finish(o, c00, epilogue);
      finish(o + 16, c01, epilogue);
      o += ldc;
      finish(o, c10, epilogue);
      finish(o + 16, c11, epilogue);
      o += ldc;
      finish(o, c20, epilogue);
      finish(o + 16, c21, epilogue);
      o += ldc;
      finish(o, c30, epilogue);
      finish(o + 16, c31, epilogue);
      out = o + ldc;
    }
    packed += bytes << 3;
    bias += 32;
    c += 32;
  }
}

/**
 * C = A Wᵀ + bias: A (4·groups, K) and C (4·groups, columns) with row strides `lda`, `ldc` in bytes,
 * K even, columns a multiple of 8.
 */
export function gemm(
  a: usize, lda: usize, packed: usize, bias: usize, c: usize, ldc: usize,
  groups: i32, K: i32, columns: i32,
): void {
  product(a, lda, packed, bias, c, ldc, groups, K, columns, SET);
}

/** C += A Wᵀ + bias. */
export function gemmAdd(
  a: usize, lda: usize, packed: usize, bias: usize, c: usize, ldc: usize,
  groups: i32, K: i32, columns: i32,
): void {
  product(a, lda, packed, bias, c, ldc, groups, K, columns, ADD);
}

/** C = tanh(A Wᵀ + bias). */
export function gemmTanh(
  a: usize, lda: usize, packed: usize, bias: usize, c: usize, ldc: usize,
  groups: i32, K: i32, columns: i32,
): void {
  product(a, lda, packed, bias, c, ldc, groups, K, columns, TANH);
}

/** C = tanh(C + A Wᵀ + bias). */
export function gemmAddTanh(
  a: usize, lda: usize, packed: usize, bias: usize, c: usize, ldc: usize,
  groups: i32, K: i32, columns: i32,
): void {
  product(a, lda, packed, bias, c, ldc, groups, K, columns, ADD_TANH);
}

// @ts-ignore: decorator
@inline function accumulate(out: usize, value: v128): void {
  v128.store(out, f32x4.add(v128.load(out), value));
}

/**
 * G += Dᵀ A over `rows` (a multiple of 4) rows: D (rows, O) adjoints of outputs, A (rows, K) inputs,
 * G (O, K); O a multiple of 4, K of 8; strides in bytes. The tile is 4 outputs x 8 inputs.
 */
export function gemmGradient(
  d: usize, ldd: usize, a: usize, lda: usize, gradient: usize, ldg: usize,
  rows: i32, O: i32, K: i32,
): void {
  for (let o = 0; o < O; o += 4) {
    let g = gradient;
    let start = a;
    for (let k = 0; k < K; k += 8) {
      let c00 = f32x4.splat(0);
      let c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
      let left = d;
      let right = start;
      const end = left + ldd * <usize>rows;
      do {
        let b0 = v128.load(right), b1 = v128.load(right, 16);
        let s = v128.load_splat<f32>(left);
        c00 = fma(s, b0, c00);
        c01 = fma(s, b1, c01);
        s = v128.load_splat<f32>(left, 4);
        c10 = fma(s, b0, c10);
        c11 = fma(s, b1, c11);
        s = v128.load_splat<f32>(left, 8);
        c20 = fma(s, b0, c20);
        c21 = fma(s, b1, c21);
        s = v128.load_splat<f32>(left, 12);
        c30 = fma(s, b0, c30);
        c31 = fma(s, b1, c31);
        left += ldd;
        right += lda;
        b0 = v128.load(right);
        b1 = v128.load(right, 16);
        s = v128.load_splat<f32>(left);
        c00 = fma(s, b0, c00);
        c01 = fma(s, b1, c01);
        s = v128.load_splat<f32>(left, 4);
        c10 = fma(s, b0, c10);
        c11 = fma(s, b1, c11);
        s = v128.load_splat<f32>(left, 8);
        c20 = fma(s, b0, c20);
        c21 = fma(s, b1, c21);
        s = v128.load_splat<f32>(left, 12);
        c30 = fma(s, b0, c30);
        c31 = fma(s, b1, c31);
        left += ldd;
        right += lda;
      } while (left < end);
      let out = g;
      accumulate(out, c00);
      accumulate(out + 16, c01);
      out += ldg;
      accumulate(out, c10);
      accumulate(out + 16, c11);
      out += ldg;
      accumulate(out, c20);
      accumulate(out + 16, c21);
      out += ldg;
      accumulate(out, c30);
      accumulate(out + 16, c31);
      g += 32;
      start += 32;
    }
    d += 16;
    gradient += ldg << 2;
  }
}

/** Packs W (out, in), row stride `ld` bytes, into panels of 8 outputs; K >= in, the rest zero. */
export function packPanels(weight: usize, ld: usize, out: i32, inputs: i32, K: i32, packed: usize): void {
  for (let o = 0; o < out; o += 8) {
    for (let k = 0; k < K; k++) {
      for (let q = 0; q < 8; q++) {
        const inside = k < inputs && o + q < out;
        const value: f32 = inside ? load<f32>(weight + <usize>(o + q) * ld + (<usize>k << 2)) : 0;
        store<f32>(packed, value);
        packed += 4;
      }
    }
  }
}

/** Packs Wᵀ for W (out, in): panels of 8 inputs; K >= out, the rest zero. */
export function packTransposed(weight: usize, ld: usize, out: i32, inputs: i32, K: i32, packed: usize): void {
  for (let i = 0; i < inputs; i += 8) {
    for (let k = 0; k < K; k++) {
      for (let q = 0; q < 8; q++) {
        const inside = k < out && i + q < inputs;
        const value: f32 = inside ? load<f32>(weight + <usize>k * ld + (<usize>(i + q) << 2)) : 0;
        store<f32>(packed, value);
        packed += 4;
      }
    }
  }
}
