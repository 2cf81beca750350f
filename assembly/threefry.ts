// Counter-based random numbers, four samples side by side: the words and normals of
// src/math/random.ts (threefry2x32, 20 rounds; Salmon et al., SC 2011). Words are equal bit for bit;
// normals differ from the float64 reference by rounding only.
// A block is one chain of dependent instructions; four of them run side by side.
import { fma } from "./simd";

// Byte orders of the rotations of 32-bit lanes by 16 and by 24 bits.
const ROTATE_16 = memory.data<u8>([2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13], 16);
const ROTATE_24 = memory.data<u8>([1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12], 16);
// Four blocks that are not wanted, or not all of them, where the normals go.
const BLOCKS = memory.data(4 * 32, 16);

// @ts-ignore: decorator
@inline function rotate(x: v128, r: i32): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (r == 16) return i8x16.relaxed_swizzle(x, v128.load(ROTATE_16));
    if (r == 24) return i8x16.relaxed_swizzle(x, v128.load(ROTATE_24));
  }
  return v128.or(i32x4.shl(x, r), i32x4.shr_u(x, 32 - r));
}

// What the key adds to x0 and x1 after each four rounds.
const INJECTIONS = memory.data(5 * 32, 16);

/** Sets the key (k0, k1). */
// @ts-ignore: decorator
@inline function setKey(key0: u32, key1: u32): void {
  const k0 = i32x4.splat(key0);
  const k1 = i32x4.splat(key1);
  const k2 = i32x4.splat(0x1BD11BDA ^ key0 ^ key1);
  v128.store(INJECTIONS, k1);
  v128.store(INJECTIONS, i32x4.add(k2, i32x4.splat(1)), 16);
  v128.store(INJECTIONS, k2, 32);
  v128.store(INJECTIONS, i32x4.add(k0, i32x4.splat(2)), 48);
  v128.store(INJECTIONS, k0, 64);
  v128.store(INJECTIONS, i32x4.add(k1, i32x4.splat(3)), 80);
  v128.store(INJECTIONS, k1, 96);
  v128.store(INJECTIONS, i32x4.add(k2, i32x4.splat(4)), 112);
  v128.store(INJECTIONS, k2, 128);
  v128.store(INJECTIONS, i32x4.add(k0, i32x4.splat(5)), 144);
}

/**
 * `count` blocks of threefry2x32-20 with the key set, a literal from 1 to 4, of counters (sample, counter),
 * (sample, counter + 1), ...: two vectors each at `out`, the two words of one block after the other.
 */
// @ts-ignore: decorator
@inline function someBlocks(
  count: i32, sample: v128, counter: i32, key0: u32, key1: u32, out: usize,
): void {
  const k1 = i32x4.splat(key1);
  let a0 = i32x4.add(sample, i32x4.splat(key0));
  let a1 = i32x4.add(i32x4.splat(counter), k1);
  let b0 = a0;
  let b1 = i32x4.add(i32x4.splat(counter + 1), k1);
  let c0 = a0;
  let c1 = i32x4.add(i32x4.splat(counter + 2), k1);
  let d0 = a0;
  let d1 = i32x4.add(i32x4.splat(counter + 3), k1);
  // Four rounds with the first or the second set of rotations, then a key injection. Written out, the
  // compiler would put all rounds of one block before those of the next.
  for (let group: usize = 0; group < 5; group++) {
    if ((group & 1) == 0) {
      a0 = i32x4.add(a0, a1); a1 = v128.xor(rotate(a1, 13), a0);
      a0 = i32x4.add(a0, a1); a1 = v128.xor(rotate(a1, 15), a0);
      a0 = i32x4.add(a0, a1); a1 = v128.xor(rotate(a1, 26), a0);
      a0 = i32x4.add(a0, a1); a1 = v128.xor(rotate(a1, 6), a0);
      if (count > 1) {
        b0 = i32x4.add(b0, b1); b1 = v128.xor(rotate(b1, 13), b0);
        b0 = i32x4.add(b0, b1); b1 = v128.xor(rotate(b1, 15), b0);
        b0 = i32x4.add(b0, b1); b1 = v128.xor(rotate(b1, 26), b0);
        b0 = i32x4.add(b0, b1); b1 = v128.xor(rotate(b1, 6), b0);
      }
      if (count > 2) {
        c0 = i32x4.add(c0, c1); c1 = v128.xor(rotate(c1, 13), c0);
        c0 = i32x4.add(c0, c1); c1 = v128.xor(rotate(c1, 15), c0);
        c0 = i32x4.add(c0, c1); c1 = v128.xor(rotate(c1, 26), c0);
        c0 = i32x4.add(c0, c1); c1 = v128.xor(rotate(c1, 6), c0);
      }
      if (count > 3) {
        d0 = i32x4.add(d0, d1); d1 = v128.xor(rotate(d1, 13), d0);
        d0 = i32x4.add(d0, d1); d1 = v128.xor(rotate(d1, 15), d0);
        d0 = i32x4.add(d0, d1); d1 = v128.xor(rotate(d1, 26), d0);
        d0 = i32x4.add(d0, d1); d1 = v128.xor(rotate(d1, 6), d0);
      }
    } else {
      a0 = i32x4.add(a0, a1); a1 = v128.xor(rotate(a1, 17), a0);
      a0 = i32x4.add(a0, a1); a1 = v128.xor(rotate(a1, 29), a0);
      a0 = i32x4.add(a0, a1); a1 = v128.xor(rotate(a1, 16), a0);
      a0 = i32x4.add(a0, a1); a1 = v128.xor(rotate(a1, 24), a0);
      if (count > 1) {
        b0 = i32x4.add(b0, b1); b1 = v128.xor(rotate(b1, 17), b0);
        b0 = i32x4.add(b0, b1); b1 = v128.xor(rotate(b1, 29), b0);
        b0 = i32x4.add(b0, b1); b1 = v128.xor(rotate(b1, 16), b0);
        b0 = i32x4.add(b0, b1); b1 = v128.xor(rotate(b1, 24), b0);
      }
      if (count > 2) {
        c0 = i32x4.add(c0, c1); c1 = v128.xor(rotate(c1, 17), c0);
        c0 = i32x4.add(c0, c1); c1 = v128.xor(rotate(c1, 29), c0);
        c0 = i32x4.add(c0, c1); c1 = v128.xor(rotate(c1, 16), c0);
        c0 = i32x4.add(c0, c1); c1 = v128.xor(rotate(c1, 24), c0);
      }
      if (count > 3) {
        d0 = i32x4.add(d0, d1); d1 = v128.xor(rotate(d1, 17), d0);
        d0 = i32x4.add(d0, d1); d1 = v128.xor(rotate(d1, 29), d0);
        d0 = i32x4.add(d0, d1); d1 = v128.xor(rotate(d1, 16), d0);
        d0 = i32x4.add(d0, d1); d1 = v128.xor(rotate(d1, 24), d0);
      }
    }
    const to0 = v128.load(INJECTIONS + (group << 5));
    const to1 = v128.load(INJECTIONS + (group << 5), 16);
    a0 = i32x4.add(a0, to0); a1 = i32x4.add(a1, to1);
    if (count > 1) {
      b0 = i32x4.add(b0, to0); b1 = i32x4.add(b1, to1);
    }
    if (count > 2) {
      c0 = i32x4.add(c0, to0); c1 = i32x4.add(c1, to1);
    }
    if (count > 3) {
      d0 = i32x4.add(d0, to0); d1 = i32x4.add(d1, to1);
    }
  }
  v128.store(out, a0);
  v128.store(out, a1, 16);
  if (count > 1) {
    v128.store(out, b0, 32);
    v128.store(out, b1, 48);
  }
  if (count > 2) {
    v128.store(out, c0, 64);
    v128.store(out, c1, 80);
  }
  if (count > 3) {
    v128.store(out, d0, 96);
    v128.store(out, d1, 112);
  }
}

/** Words of `count` counters (sample, first + p): word 0 at out + 32·p, word 1 16 bytes on. */
export function words(
  out: usize, count: i32, key0: u32, key1: u32, sample: v128, first: u32,
): void {
  setKey(key0, key1);
  for (; count >= 4; count -= 4) {
    someBlocks(4, sample, first, key0, key1, out);
    first += 4;
    out += 128;
  }
  for (; count > 0; count--) {
    someBlocks(1, sample, first++, key0, key1, out);
    out += 32;
  }
}

/** `words` for the host, which cannot pass a v128: the four sample numbers are at `samples`. */
export function wordsAt(
  out: usize, count: i32, key0: u32, key1: u32, samples: usize, first: u32,
): void {
  words(out, count, key0, key1, v128.load(samples), first);
}

// 0 2^-24, 1 2^-25, 2..10 (−2 log(1 + f) + 2f)/f² in f, highest power first, 11 −2, 12 −2 log 2, 13 one,
// 14 three, 15..18 sin(πx/4)/(√2 x) in x², 19..22 cos(πx/4)/√2 in x²; minimax fits: relative error of
// the logarithm 1e-8, absolute error of sine and cosine 2e-8.
const NORMAL = memory.data<f32>([
  5.9604644775390625e-8, 2.98023223876953125e-8,
  0.15682199597358704, -0.2597891688346863, 0.2638666033744812, -0.2833090126514435,
  0.3322697877883911, -0.4000589847564697, 0.5000280737876892, -0.6666661500930786, 0.9999998211860657,
  -2, -1.3862943649291992, 1, 3,
  -2.5370216462761164e-05, 0.001760607585310936, -0.05709559842944145, 0.5553603768348694,
  -0.00022548256674781442, 0.0112075824290514, -0.21808888018131256, 0.7071067690849304,
], 16);
// 0 bits of √½, 1 mantissa mask, 2 bits of one, 3 sign, 4 one quarter of a turn, 5 bits of 2 with the
// lowest bit set, 6 mantissa but for its lowest bit, 7 half of the lowest of 16 upper bits, 8 those, 9 the
// lowest eight.
const BITS = memory.data<u32>([
  0x3f3504f3, 0x007fffff, 0x3f800000, 0x80000000, 0x40000000, 0x40000001, 0x007ffffe,
  0x8000, 0xffff0000, 0xff,
], 16);

// @ts-ignore: decorator
@inline function normal(k: usize): v128 { return v128.load_splat<f32>(NORMAL + (k << 2)); }
// @ts-ignore: decorator
@inline function bits(k: usize): v128 { return v128.load_splat<u32>(BITS + (k << 2)); }

// √(−2 log u) of the uniform u = ((word >>> 8) + ½)·2^-24. In f32 u itself is rounded above ½, which
// would ruin log u near 1; the signed upper 24 bits give y = u or y = u − 1 exactly, and so what
// rounding lost.
// @ts-ignore: decorator
@inline function radius(word: v128): v128 {
  const y = fma(f32x4.convert_i32x4_s(i32x4.shr_s(word, 8)), normal(0), normal(1));
  const one = v128.and(i32x4.shr_s(word, 31), bits(2));
  const u = f32x4.add(y, one);
  const lost = f32x4.sub(y, f32x4.sub(u, one));
  const shifted = i32x4.sub(u, bits(0));
  const e = f32x4.convert_i32x4_s(i32x4.shr_s(shifted, 23));
  const mantissa = i32x4.add(v128.and(shifted, bits(1)), bits(0));
  // Exact where e = 0; elsewhere f is large and what is lost does not matter.
  const f = f32x4.add(f32x4.sub(mantissa, normal(13)), lost);
  // Pairs of coefficients first: the shorter the chain, the more of these run side by side.
  const f2 = f32x4.mul(f, f);
  const upper = fma(fma(normal(3), f, normal(4)), f2, fma(normal(5), f, normal(6)));
  const lower = fma(fma(normal(7), f, normal(8)), f2, fma(normal(9), f, normal(10)));
  const f4 = f32x4.mul(f2, f2);
  const p = fma(fma(normal(2), f4, upper), f4, lower);
  return f32x4.sqrt(fma(p, f2, fma(e, normal(12), f32x4.mul(f, normal(11)))));
}

// The angle in turns is u = ((word >>> 8) + ½)·2^-24 = (2q + 1)/8 + x/8, quadrant q from the upper two
// bits and x in (−1, 1) from the other 22 and the half: a mantissa of 23 bits. The cosine is
// ±cos(πx/4)/√2 ∓ sin(πx/4)/√2, the sine ±sin ± cos, with the signs of the quadrant.
// @ts-ignore: decorator
@inline function inQuadrant(word: v128): v128 {
  const y = v128.or(v128.and(i32x4.shr_u(word, 7), bits(6)), bits(5));
  return f32x4.sub(y, normal(14));
}

/** Two normals of two words to `at` and `at` + 16. */
// @ts-ignore: decorator
@inline function boxMuller(at: usize, word0: v128, word: v128): void {
  const rho = radius(word0);
  const x = inQuadrant(word);
  const x2 = f32x4.mul(x, x);
  let s = fma(normal(15), x2, normal(16));
  let c = fma(normal(19), x2, normal(20));
  s = fma(s, x2, normal(17));
  c = fma(c, x2, normal(21));
  s = fma(s, x2, normal(18));
  c = fma(c, x2, normal(22));
  s = f32x4.mul(f32x4.mul(s, x), rho);
  c = f32x4.mul(c, rho);
  const sign = bits(3);
  const lower = v128.and(word, sign);
  const left = v128.and(i32x4.add(word, bits(4)), sign);
  v128.store(at, f32x4.sub(v128.xor(c, left), v128.xor(s, lower)));
  v128.store(at, f32x4.add(v128.xor(s, left), v128.xor(c, lower)), 16);
}

/** The same of the words at `at` and `at` + 16, which they replace. */
// @ts-ignore: decorator
@inline function boxMullerOf(at: usize): void { boxMuller(at, v128.load(at), v128.load(at, 16)); }

/**
 * `count` f32x4 of standard normals (Box-Muller): number 2p is ρ cos 2πu₁ and 2p + 1 ρ sin 2πu₁ of
 * counter (sample, first + p), ρ = √(−2 log u₀). `sample`: i32x4, one sample number per lane.
 */
export function normals(
  out: usize, count: i32, key0: u32, key1: u32, sample: v128, first: u32,
): void {
  setKey(key0, key1);
  let done = 0;
  for (; done + 8 <= count; done += 8) {
    someBlocks(4, sample, first, key0, key1, out);
    first += 4;
    for (const end = out + 128; out < end; out += 32) boxMullerOf(out);
  }
  if (done == count) return;
  const rest = count - done;
  if (rest > 6) someBlocks(4, sample, first, key0, key1, BLOCKS);
  else if (rest > 4) someBlocks(3, sample, first, key0, key1, BLOCKS);
  else if (rest > 2) someBlocks(2, sample, first, key0, key1, BLOCKS);
  else someBlocks(1, sample, first, key0, key1, BLOCKS);
  for (let p = 0; p < rest; p += 2) boxMullerOf(BLOCKS + (<usize>p << 4));
  for (let a: usize = 0, end = <usize>rest << 4; a < end; a += 16) {
    v128.store(out + a, v128.load(BLOCKS + a));
  }
}

/**
 * `count` f32x4 of standard normals, the thriftyNormals of src/math/random.ts: six of every two counters.
 * `out` has room for a multiple of six.
 */
export function thriftyNormals(
  out: usize, count: i32, key0: u32, key1: u32, sample: v128, first: u32,
): void {
  setKey(key0, key1);
  for (; count > 6; count -= 12, first += 4, out += 192) {
    someBlocks(4, sample, first, key0, key1, BLOCKS);
    sixNormals(out, BLOCKS);
    sixNormals(out + 96, BLOCKS + 64);
  }
  if (count <= 0) return;
  someBlocks(2, sample, first, key0, key1, BLOCKS);
  sixNormals(out, BLOCKS);
}

/** Six normals of the four words at `from`. */
// @ts-ignore: decorator
@inline function sixNormals(out: usize, from: usize): void {
  const a = v128.load(from);
  const b = v128.load(from, 16);
  const d = v128.load(from, 48);
  const half = bits(7);
  boxMuller(out, a, v128.or(v128.and(d, bits(8)), half));
  boxMuller(out + 32, b, v128.or(i32x4.shl(d, 16), half));
  const lowest = v128.or(i32x4.shl(a, 24), i32x4.shl(v128.and(b, bits(9)), 16));
  boxMuller(out + 64, v128.load(from, 32), v128.or(lowest, half));
}

/** `normals` for the host; see wordsAt. */
export function normalsAt(
  out: usize, count: i32, key0: u32, key1: u32, samples: usize, first: u32,
): void {
  normals(out, count, key0, key1, v128.load(samples), first);
}

/** `thriftyNormals` for the host; see wordsAt. */
export function thriftyNormalsAt(
  out: usize, count: i32, key0: u32, key1: u32, samples: usize, first: u32,
): void {
  thriftyNormals(out, count, key0, key1, v128.load(samples), first);
}
