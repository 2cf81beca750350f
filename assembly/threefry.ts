// Counter-based random numbers, four samples side by side: the words and normals of
// src/math/random.ts (threefry2x32, 20 rounds; Salmon et al., SC 2011). Words are equal bit for bit;
// normals differ from the float64 reference by rounding only.
import { exponent4, logOfParts4, mantissaMinusOne4, sincos4 } from "./math";

// 0 one half, 1 2^-24, 2 one, 3 −1, 4 −2, 5 +2.
const CONSTANTS = memory.data<f32>([0.5, 5.9604644775390625e-8, 1, -1, -2, 2], 16);
const SINE = memory.data(16, 16);

// @ts-ignore: decorator
@inline function constant(k: usize): v128 {
  return v128.load_splat<f32>(CONSTANTS + (k << 2));
}

// The running state; AssemblyScript functions return one value, these globals carry two.
let word0: v128 = i32x4.splat(0);
let word1: v128 = i32x4.splat(0);

// @ts-ignore: decorator
@inline function rotate(x: v128, r: i32): v128 {
  return v128.or(i32x4.shl(x, r), i32x4.shr_u(x, 32 - r));
}

/** One block of threefry2x32-20: key (k0, k1), counter (c0 per lane, c1), into word0 and word1. */
// @ts-ignore: decorator
@inline function threefry(k0: v128, k1: v128, k2: v128, c0: v128, c1: i32): void {
  let x0 = i32x4.add(c0, k0);
  let x1 = i32x4.add(i32x4.splat(c1), k1);
  // Four rounds with the first or the second set of rotations, then a key injection; five times.
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 13), x0);
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 15), x0);
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 26), x0);
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 6), x0);
  x0 = i32x4.add(x0, k1); x1 = i32x4.add(x1, i32x4.add(k2, i32x4.splat(1)));
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 17), x0);
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 29), x0);
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 16), x0);
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 24), x0);
  x0 = i32x4.add(x0, k2); x1 = i32x4.add(x1, i32x4.add(k0, i32x4.splat(2)));
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 13), x0);
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 15), x0);
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 26), x0);
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 6), x0);
  x0 = i32x4.add(x0, k0); x1 = i32x4.add(x1, i32x4.add(k1, i32x4.splat(3)));
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 17), x0);
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 29), x0);
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 16), x0);
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 24), x0);
  x0 = i32x4.add(x0, k1); x1 = i32x4.add(x1, i32x4.add(k2, i32x4.splat(4)));
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 13), x0);
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 15), x0);
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 26), x0);
  x0 = i32x4.add(x0, x1); x1 = v128.xor(rotate(x1, 6), x0);
  word0 = i32x4.add(x0, k2);
  word1 = i32x4.add(x1, i32x4.add(k0, i32x4.splat(5)));
}

/** Words of `count` counters (sample, first + p): word 0 at out + 32·p, word 1 16 bytes on. */
export function words(
  out: usize, count: i32, key0: u32, key1: u32, sample: v128, first: u32,
): void {
  const k0 = i32x4.splat(key0);
  const k1 = i32x4.splat(key1);
  const k2 = i32x4.splat(0x1BD11BDA ^ key0 ^ key1);
  for (let p = 0; p < count; p++) {
    threefry(k0, k1, k2, sample, first + p);
    v128.store(out, word0);
    v128.store(out, word1, 16);
    out += 32;
  }
}

/** `words` for the host, which cannot pass a v128: the four sample numbers are at `samples`. */
export function wordsAt(
  out: usize, count: i32, key0: u32, key1: u32, samples: usize, first: u32,
): void {
  words(out, count, key0, key1, v128.load(samples), first);
}

// √(−2 log u) of the uniform u = ((word >>> 8) + ½)·2^-24. In f32 u itself would be rounded above
// ½, which ruins log u near 1; the signed upper 24 bits v give u (v ≥ 0) or u − 1 (v < 0) exactly.
// @ts-ignore: decorator
@inline function radius(word: v128): v128 {
  const v = i32x4.shr_s(word, 8);
  const exact = f32x4.mul(f32x4.add(f32x4.convert_i32x4_s(v), constant(0)), constant(1));
  const upper = f32x4.lt(exact, f32x4.splat(0));
  const one = constant(2);
  const u = v128.bitselect(f32x4.add(exact, one), exact, upper);
  const e = exponent4(u);
  // u − 1, or 2u − 1 = 2(u − 1) + 1 below √½: exact as well.
  const doubled = f32x4.add(f32x4.mul(exact, constant(5)), one);
  const fUpper = v128.bitselect(doubled, exact, f32x4.eq(e, constant(3)));
  const f = v128.bitselect(fUpper, mantissaMinusOne4(u), upper);
  return f32x4.sqrt(f32x4.mul(logOfParts4(f, e), constant(4)));
}

/**
 * `count` f32x4 of standard normals (Box-Muller): number 2p is ρ cos 2πu₁ and 2p + 1 ρ sin 2πu₁ of
 * counter (sample, first + p), ρ = √(−2 log u₀). `sample`: i32x4, one sample number per lane.
 */
export function normals(
  out: usize, count: i32, key0: u32, key1: u32, sample: v128, first: u32,
): void {
  const k0 = i32x4.splat(key0);
  const k1 = i32x4.splat(key1);
  const k2 = i32x4.splat(0x1BD11BDA ^ key0 ^ key1);
  for (let p = 0; 2 * p < count; p++) {
    threefry(k0, k1, k2, sample, first + p);
    const rho = radius(word0);
    // The signed upper 24 bits are the angle in turns, less one turn above ½: the same angle.
    const turn = f32x4.mul(
      f32x4.add(f32x4.convert_i32x4_s(i32x4.shr_s(word1, 8)), constant(0)),
      constant(1),
    );
    // The sine goes by way of SINE, so that an odd count writes nothing beyond its end.
    sincos4(turn, out, SINE);
    v128.store(out, f32x4.mul(v128.load(out), rho));
    if (2 * p + 1 < count) v128.store(out, f32x4.mul(v128.load(SINE), rho), 16);
    out += 32;
  }
}

/** `normals` for the host; see wordsAt. */
export function normalsAt(
  out: usize, count: i32, key0: u32, key1: u32, samples: usize, first: u32,
): void {
  normals(out, count, key0, key1, v128.load(samples), first);
}
