// Elementary functions on f32x4. Every function is lane-wise; the stated errors are the largest seen
// against float64 over the stated range, in units in the last place of the result (ulp) unless said
// otherwise, of the relaxed and the plain module alike unless both are given;
// tests/conformance/math_test.ts checks them.
//
// Constants are broadcast from static memory (see the trap in simd.ts).
import { fma, fnma } from "./simd";

// @ts-ignore: decorator
@inline function at(table: usize, k: usize): v128 {
  return v128.load_splat<f32>(table + (k << 2));
}

// 0 upper clamp, 1 lower clamp, 2 log2 e, 3 1.5·2^23, 4 ln 2 (high part), 5 ln 2 (low part),
// 6..11 (e^r − 1 − r)/r² from the highest power down (Cephes expf), 12 one.
const EXP = memory.data<f32>([
  89.5, -104.5, 1.44269504, 12582912, 0.693359375, -2.12194440e-4,
  1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
  5.0000001201e-1, 1,
], 16);

/** e^x. At most 2 ulp; subnormal results, 0 and +inf come out right; NaN gives NaN. */
// @ts-ignore: decorator
@inline export function exp4(x: v128): v128 {
  // pmin and pmax return their first operand when it is NaN.
  x = f32x4.pmax(f32x4.pmin(x, at(EXP, 0)), at(EXP, 1));
  // Adding 1.5·2^23 rounds to an integer and leaves it in the low bits.
  const magic = at(EXP, 3);
  const shifted = fma(x, at(EXP, 2), magic);
  const n = f32x4.sub(shifted, magic);
  const integer = i32x4.sub(shifted, magic);
  let r = fnma(n, at(EXP, 4), x);
  r = fnma(n, at(EXP, 5), r);
  let p = fma(at(EXP, 6), r, at(EXP, 7));
  p = fma(p, r, at(EXP, 8));
  p = fma(p, r, at(EXP, 9));
  p = fma(p, r, at(EXP, 10));
  p = fma(p, r, at(EXP, 11));
  const one = at(EXP, 12);
  p = f32x4.add(fma(p, f32x4.mul(r, r), r), one);
  // Two factors 2^a·2^b, so that overflow and subnormals round as they should.
  const half = i32x4.shr_s(integer, 1);
  const first = i32x4.add(i32x4.shl(half, 23), one);
  const second = i32x4.add(i32x4.shl(i32x4.sub(integer, half), 23), one);
  return f32x4.mul(f32x4.mul(p, first), second);
}

// 0 smallest normal, 1 2^23, 2 23, 3 one, 4 ln 2 high, 5 ln 2 low, 6 one half,
// 7..15 polynomial of log(1 + f) (Cephes logf), 16 +inf, 17 −inf, 18 NaN.
const LOG = memory.data<f32>([
  1.17549435e-38, 8388608, 23, 1, 0.693359375, -2.12194440e-4, 0.5,
  7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
  -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
  Infinity, -Infinity, NaN,
], 16);
// 0 bits of sqrt(1/2), 1 mantissa mask.
const LOG_BITS = memory.data<i32>([0x3f3504f3, 0x007fffff], 16);

/** log(1 + f) + e·log 2 for f in [√½ − 1, √2 − 1] and an integral e. */
// @ts-ignore: decorator
@inline export function logOfParts4(f: v128, e: v128): v128 {
  let p = fma(at(LOG, 7), f, at(LOG, 8));
  p = fma(p, f, at(LOG, 9));
  p = fma(p, f, at(LOG, 10));
  p = fma(p, f, at(LOG, 11));
  p = fma(p, f, at(LOG, 12));
  p = fma(p, f, at(LOG, 13));
  p = fma(p, f, at(LOG, 14));
  p = fma(p, f, at(LOG, 15));
  const square = f32x4.mul(f, f);
  p = f32x4.mul(f32x4.mul(p, f), square);
  p = fma(e, at(LOG, 5), p);
  p = fnma(at(LOG, 6), square, p);
  return fma(e, at(LOG, 4), f32x4.add(f, p));
}

/** The binary exponent e (as f32) of positive normal x, such that x/2^e is in [√½, √2). */
// @ts-ignore: decorator
@inline export function exponent4(x: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.sub(x, at(LOG_BITS, 0)), 23));
}

/** x/2^e − 1 with the e of exponent4; exact. */
// @ts-ignore: decorator
@inline export function mantissaMinusOne4(x: v128): v128 {
  const root = at(LOG_BITS, 0);
  const bits = i32x4.add(v128.and(i32x4.sub(x, root), at(LOG_BITS, 1)), root);
  return f32x4.sub(bits, at(LOG, 3));
}

/** Natural logarithm. At most 2 ulp; 0 gives −inf, negative x NaN, +inf +inf, NaN NaN. */
// @ts-ignore: decorator
@inline export function log4(x: v128): v128 {
  const zero = f32x4.splat(0);
  const subnormal = f32x4.lt(x, at(LOG, 0));
  const scaled = v128.bitselect(f32x4.mul(x, at(LOG, 1)), x, subnormal);
  const e = f32x4.sub(exponent4(scaled), v128.and(subnormal, at(LOG, 2)));
  const finite = logOfParts4(mantissaMinusOne4(scaled), e);
  const infinity = at(LOG, 16);
  const positive = f32x4.gt(x, zero);
  const special = v128.bitselect(
    infinity,
    v128.bitselect(at(LOG, 17), at(LOG, 18), f32x4.eq(x, zero)),
    positive,
  );
  return v128.bitselect(finite, special, v128.and(positive, f32x4.lt(x, infinity)));
}

// 0 clamp, 1 −clamp, 2..8 odd numerator x¹³ ... x, 9..12 even denominator x⁶ ... 1 (the rational
// minimax fit of Eigen and TensorFlow, times 2^8 so that x times the last term is never subnormal).
const TANH = memory.data<f32>([
  7.90531110763549805, -7.90531110763549805,
  -7.067567302204e-14, 5.120481036351e-11, -2.202795909667e-08, 1.311308055135e-05,
  3.803449234380e-03, 1.631390537921e-01, 1.252742287083e+00,
  3.067541490348e-04, 3.034488465578e-02, 5.807192659044e-01, 1.252742447499e+00,
], 16);

/** tanh x. At most 5 ulp (relaxed), 6.5 ulp (plain); |result| never above 1, odd; NaN gives NaN. */
// @ts-ignore: decorator
@inline export function tanh4(x: v128): v128 {
  x = f32x4.pmax(f32x4.pmin(x, at(TANH, 0)), at(TANH, 1));
  const u = f32x4.mul(x, x);
  let p = fma(at(TANH, 2), u, at(TANH, 3));
  p = fma(p, u, at(TANH, 4));
  p = fma(p, u, at(TANH, 5));
  p = fma(p, u, at(TANH, 6));
  p = fma(p, u, at(TANH, 7));
  p = fma(p, u, at(TANH, 8));
  let q = fma(at(TANH, 9), u, at(TANH, 10));
  q = fma(q, u, at(TANH, 11));
  q = fma(q, u, at(TANH, 12));
  return f32x4.div(f32x4.mul(x, p), q);
}

// 0 four, 1 one quarter, 2 1.5·2^23, 3..6 sin(2πr)/r in r², 7..11 cos(2πr) in r²; highest power first.
const TURN = memory.data<f32>([
  4, 0.25, 12582912,
  -75.39356275, 81.59235355, -41.34166145, 6.283185287,
  59.2027956, -85.44229796, 64.93931074, -19.73920863, 1,
], 16);
const TURN_BITS = memory.data<i32>([1, 2], 16);

// The quadrant of u: nearest(4u) + 1.5·2^23, its low bits are the integer.
// @ts-ignore: decorator
@inline function quadrant(u: v128): v128 {
  // Not fused on purpose: both modules then choose the same quadrant.
  return f32x4.add(f32x4.mul(u, at(TURN, 0)), at(TURN, 2));
}

// @ts-ignore: decorator
@inline function sinReduced(r: v128, r2: v128): v128 {
  let s = fma(at(TURN, 3), r2, at(TURN, 4));
  s = fma(s, r2, at(TURN, 5));
  s = fma(s, r2, at(TURN, 6));
  return f32x4.mul(s, r);
}

// @ts-ignore: decorator
@inline function cosReduced(r2: v128): v128 {
  let c = fma(at(TURN, 7), r2, at(TURN, 8));
  c = fma(c, r2, at(TURN, 9));
  c = fma(c, r2, at(TURN, 10));
  return fma(c, r2, at(TURN, 11));
}

/**
 * cos 2πu to address `cosine`, sin 2πu to address `sine`, for |u| ≤ 2^20 (meant for [0, 1)).
 * Absolute error at most 1e-7. NaN gives NaN.
 */
// @ts-ignore: decorator
@inline export function sincos4(u: v128, cosine: usize, sine: usize): void {
  const shifted = quadrant(u);
  const n = f32x4.sub(shifted, at(TURN, 2));
  const r = fnma(n, at(TURN, 1), u);
  const r2 = f32x4.mul(r, r);
  const s = sinReduced(r, r2);
  const c = cosReduced(r2);
  const one = at(TURN_BITS, 0);
  const two = at(TURN_BITS, 1);
  const odd = i32x4.eq(v128.and(shifted, one), one);
  // cos: + − − +, sin: + + − − in quadrants 0 1 2 3.
  const cosineSign = i32x4.shl(v128.and(i32x4.add(shifted, one), two), 30);
  const sineSign = i32x4.shl(v128.and(shifted, two), 30);
  v128.store(cosine, v128.xor(v128.bitselect(s, c, odd), cosineSign));
  v128.store(sine, v128.xor(v128.bitselect(c, s, odd), sineSign));
}

// 0 tan π/8, 1 π/4, 2 π/2, 3 π, 4..7 (atan t − t)/t³ in t², highest power first (Cephes atanf).
const ATAN = memory.data<f32>([
  0.4142135624, 0.7853981634, 1.5707963268, 3.1415926536,
  8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1,
], 16);

/** The angle in [0, π] of the point (x, y), y ≥ 0. At most 3 ulp; NaN gives NaN, (0, 0) NaN. */
// @ts-ignore: decorator
@inline export function atan24(y: v128, x: v128): v128 {
  const width = f32x4.abs(x);
  const steep = f32x4.gt(y, width);
  const small = v128.bitselect(width, y, steep);
  const large = v128.bitselect(y, width, steep);
  // atan(a/b) = π/4 + atan((a − b)/(a + b)) where a/b > tan π/8.
  const wide = f32x4.gt(small, f32x4.mul(at(ATAN, 0), large));
  const t = f32x4.div(
    v128.bitselect(f32x4.sub(small, large), small, wide),
    v128.bitselect(f32x4.add(small, large), large, wide),
  );
  const z = f32x4.mul(t, t);
  let p = fma(at(ATAN, 4), z, at(ATAN, 5));
  p = fma(p, z, at(ATAN, 6));
  p = fma(p, z, at(ATAN, 7));
  p = fma(f32x4.mul(p, z), t, t);
  p = f32x4.add(p, v128.and(wide, at(ATAN, 1)));
  p = v128.bitselect(f32x4.sub(at(ATAN, 2), p), p, steep);
  return v128.bitselect(f32x4.sub(at(ATAN, 3), p), p, f32x4.lt(x, f32x4.splat(0)));
}

// I0 near (x < 6): I0 in x², highest power first (0..8); far: √x·i0e in 1/x (9..15);
// then the same for I1/x (16..24) and √x·i1e (25..31); 32: 6, 33: 1.
const BESSEL = memory.data<f32>([
  1.458546773e-14, 2.074978624e-12, 4.814768428e-10, 6.762796467e-8, 6.783590611e-6, 4.34017505e-4, 1.5625026e-2, 2.499999767e-1, 1.000000003,
  9.169608739e-1, 1.281111111e-1, 8.357957306e-3, 3.348364054e-2, 2.786609649e-2, 4.987050809e-2, 3.98942274e-1,
  7.862470445e-16, 1.328909591e-13, 3.421940946e-11, 5.640409728e-9, 6.782871531e-7, 5.425277573e-5, 2.60416863e-3, 6.249999798e-2, 5.000000003e-1,
  -1.178304634, -9.883875791e-2, -2.474574398e-2, -4.515562091e-2, -4.655921621e-2, -1.496062733e-1, 3.989422875e-1,
  6, 1,
], 16);

// @ts-ignore: decorator
@inline function besselNear(k: usize, u: v128): v128 {
  let p = fma(at(BESSEL, k), u, at(BESSEL, k + 1));
  p = fma(p, u, at(BESSEL, k + 2));
  p = fma(p, u, at(BESSEL, k + 3));
  p = fma(p, u, at(BESSEL, k + 4));
  p = fma(p, u, at(BESSEL, k + 5));
  p = fma(p, u, at(BESSEL, k + 6));
  p = fma(p, u, at(BESSEL, k + 7));
  return fma(p, u, at(BESSEL, k + 8));
}

// @ts-ignore: decorator
@inline function besselFar(k: usize, v: v128): v128 {
  let p = fma(at(BESSEL, k), v, at(BESSEL, k + 1));
  p = fma(p, v, at(BESSEL, k + 2));
  p = fma(p, v, at(BESSEL, k + 3));
  p = fma(p, v, at(BESSEL, k + 4));
  p = fma(p, v, at(BESSEL, k + 5));
  return fma(p, v, at(BESSEL, k + 6));
}

/** e^{−|x|} I₀(x). At most 4 ulp for finite x; NaN gives NaN. */
// @ts-ignore: decorator
@inline export function i0e4(x: v128): v128 {
  const a = f32x4.abs(x);
  const split = at(BESSEL, 32);
  const isNear = f32x4.lt(a, split);
  const small = f32x4.pmin(a, split);
  const near = f32x4.mul(exp4(f32x4.neg(small)), besselNear(0, f32x4.mul(small, small)));
  const far = f32x4.pmax(a, split);
  const inverse = f32x4.div(at(BESSEL, 33), far);
  return v128.bitselect(near, f32x4.mul(besselFar(9, inverse), f32x4.sqrt(inverse)), isNear);
}

/** e^{−|x|} I₁(x), odd in x. At most 5 ulp for finite x; NaN gives NaN. */
// @ts-ignore: decorator
@inline export function i1e4(x: v128): v128 {
  const a = f32x4.abs(x);
  const split = at(BESSEL, 32);
  const isNear = f32x4.lt(a, split);
  const small = f32x4.pmin(a, split);
  let near = f32x4.mul(exp4(f32x4.neg(small)), besselNear(16, f32x4.mul(small, small)));
  near = f32x4.mul(near, small);
  const far = f32x4.pmax(a, split);
  const inverse = f32x4.div(at(BESSEL, 33), far);
  const value = v128.bitselect(
    near,
    f32x4.mul(besselFar(25, inverse), f32x4.sqrt(inverse)),
    isNear,
  );
  return v128.xor(value, v128.xor(x, a));
}

// I1/I0 in 1/x, x ≥ 6, highest power first: 1 − 1/2x − ..., relative error 5e-8.
const BESSEL_RATIO = memory.data<f32>([
  -6.025634888, 3.439170181e-1, -2.124026998e-1, -1.271660503e-1, -1.249150856e-1, -0.5, 1,
], 16);

/**
 * i0e4(x), at most 4 ulp, for x ≥ 0 with `inverse` = 1/x (anything for x < 6);
 * I₁(x)/(x I₀(x)), at most 4 ulp and ½ at zero, to address `ratio`.
 */
// @ts-ignore: decorator
@inline export function i0e4WithRatio(x: v128, inverse: v128, ratio: usize): v128 {
  const isNear = f32x4.lt(x, at(BESSEL, 32));
  let value = f32x4.mul(besselFar(9, inverse), f32x4.sqrt(inverse));
  let r = fma(at(BESSEL_RATIO, 0), inverse, at(BESSEL_RATIO, 1));
  r = fma(r, inverse, at(BESSEL_RATIO, 2));
  r = fma(r, inverse, at(BESSEL_RATIO, 3));
  r = fma(r, inverse, at(BESSEL_RATIO, 4));
  r = fma(r, inverse, at(BESSEL_RATIO, 5));
  r = fma(r, inverse, at(BESSEL_RATIO, 6));
  let slope = f32x4.mul(r, inverse);
  if (v128.any_true(isNear)) {
    const small = f32x4.pmin(x, at(BESSEL, 32));
    const square = f32x4.mul(small, small);
    const near = besselNear(0, square);
    value = v128.bitselect(f32x4.mul(exp4(f32x4.neg(small)), near), value, isNear);
    slope = v128.bitselect(f32x4.div(besselNear(16, square), near), slope, isNear);
  }
  v128.store(ratio, slope);
  return value;
}

// Entry points over arrays of `count` f32x4, for the tests and the benchmark.

export function mathExp(x: usize, out: usize, count: i32): void {
  for (let end = x + ((<usize>count) << 4); x < end; x += 16, out += 16) v128.store(out, exp4(v128.load(x)));
}

export function mathLog(x: usize, out: usize, count: i32): void {
  for (let end = x + ((<usize>count) << 4); x < end; x += 16, out += 16) v128.store(out, log4(v128.load(x)));
}

export function mathTanh(x: usize, out: usize, count: i32): void {
  for (let end = x + ((<usize>count) << 4); x < end; x += 16, out += 16) v128.store(out, tanh4(v128.load(x)));
}

/** cos 2πu and sin 2πu alternate in `out` (2·count f32x4). */
export function mathSincos(u: usize, out: usize, count: i32): void {
  for (let end = u + ((<usize>count) << 4); u < end; u += 16, out += 32) sincos4(v128.load(u), out, out + 16);
}

export function mathI0e(x: usize, out: usize, count: i32): void {
  for (let end = x + ((<usize>count) << 4); x < end; x += 16, out += 16) v128.store(out, i0e4(v128.load(x)));
}

export function mathI1e(x: usize, out: usize, count: i32): void {
  for (let end = x + ((<usize>count) << 4); x < end; x += 16, out += 16) v128.store(out, i1e4(v128.load(x)));
}

/** The angle of (x, y), y ≥ 0; y and x alternate in `yx` (2·count f32x4). */
export function mathAtan2(yx: usize, out: usize, count: i32): void {
  for (let end = yx + ((<usize>count) << 5); yx < end; yx += 32, out += 16) {
    v128.store(out, atan24(v128.load(yx), v128.load(yx, 16)));
  }
}
