// Shared SIMD vocabulary of every kernel.
//
// Layout used everywhere ("lane = system"): a block holds LANES = 4 systems of the batch side by
// side; the f32x4 at byte offset ((i * n + a) * 16) holds coordinate a of particle i of the four.
//
// Trap: V8 rebuilds `v128.const` inside loops, so loops take constants from static memory
// (`memory.data<f32>([c, c, c, c])`, then `v128.load`), never from `f32x4.splat(literal)`.

// @ts-ignore: decorator
@inline export const LANES: i32 = 4;
// @ts-ignore: decorator
@inline export const VEC: usize = 16; // bytes of one f32x4

/** a * b + c; one instruction in the relaxed module, two roundings in the plain one. */
// @ts-ignore: decorator
@inline export function fma(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  else return f32x4.add(f32x4.mul(a, b), c);
}

/** c - a * b. */
// @ts-ignore: decorator
@inline export function fnma(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_nmadd(a, b, c);
  else return f32x4.sub(c, f32x4.mul(a, b));
}

/** Address of the index-th f32x4. */
// @ts-ignore: decorator
@inline export function at(base: usize, index: i32): usize { return base + (<usize>index << 4); }

/** The four lanes of v added to four f64 at `out`. */
// @ts-ignore: decorator
@inline export function accumulate(out: usize, v: v128): void {
  const upper = v128.shuffle<i64>(v, v, 1, 1);
  v128.store(out, f64x2.add(v128.load(out), f64x2.promote_low_f32x4(v)));
  v128.store(out, f64x2.add(v128.load(out, 16), f64x2.promote_low_f32x4(upper)), 16);
}
